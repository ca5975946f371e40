// For tests of JSON-RPC plugins: guests put together from steps.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace heddle::json_rpc {

// A WASI command as text: its `_start` takes the steps in order.
class Guest {
 public:
  Guest& print(std::string_view text, int fd = 1) {
    steps_ += fmt::format("(call $out (i32.const {}) (i32.const {}) (i32.const {}))\n", fd,
                          1'024 + data_.size(), text.size());
    data_ += text;
    return *this;
  }
  Guest& answer(std::string_view result) {
    return print(fmt::format("{{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}}\n", result));
  }
  Guest& ask(std::string_view method, int id = 0) {
    return print(fmt::format("{{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"{}\"}}\n", id, method));
  }
  // One read of standard input; what came is written to standard error.
  Guest& read() { return step("(call $in) (call $tell)"); }
  // Reads on to the end of standard input.
  Guest& read_all() {
    return step("(block (loop (call $in) (br_if 1 (i32.eqz (i32.load (i32.const 20)))) (br 0)))");
  }
  Guest& trap() { return step("unreachable"); }
  Guest& spin() { return step("(loop (br 0))"); }
  Guest& exit(int code) { return step(fmt::format("(call $exit (i32.const {}))", code)); }
  Guest& repeat(int times, const Guest& body) {
    EXPECT_TRUE(data_.empty()) << "texts of the body come first";
    data_ = body.data_;
    return step(
        fmt::format("(local.set $i (i32.const {}))(loop $again {} (br_if $again "
                    "(local.tee $i (i32.sub (local.get $i) (i32.const 1)))))",
                    times, body.steps_));
  }
  Guest& step(std::string_view wat) {
    steps_ += wat;
    steps_ += '\n';
    return *this;
  }

  // Answers request after request, up to a thousand, with how many came before.
  static Guest counter() {
    Guest out;
    out.data_ = "{\"jsonrpc\":\"2.0\",\"result\":   ,\"id\":   }\n";
    // The number stands at byte 26 and at byte 35 of the line.
    return out.step(R"((local $n i32)
      (loop $next
        (call $in)
        (if (i32.load (i32.const 20)) (then
          (call $number (i32.const 1050) (local.get $n))
          (call $number (i32.const 1059) (local.get $n))
          (call $out (i32.const 1) (i32.const 1024) (i32.const 40))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br $next)))))");
  }

  std::string wat() const {
    std::string escaped;
    for (const char c : data_) escaped += fmt::format("\\{:02x}", static_cast<unsigned char>(c));
    return fmt::format(kModule, escaped, steps_);
  }

 private:
  static constexpr const char* kModule = R"((module
  (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $r (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 3)
  (data (i32.const 1024) "{}")
  (func $out (param $fd i32) (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $w (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $in
    (i32.store (i32.const 12) (i32.const 65536))
    (i32.store (i32.const 16) (i32.const 4096))
    (drop (call $r (i32.const 0) (i32.const 12) (i32.const 1) (i32.const 20))))
  (func $tell
    (call $out (i32.const 2) (i32.const 65536) (i32.load (i32.const 20))))
  (func $digit (param $at i32) (param $n i32) (param $unit i32)
    (if (i32.or (i32.ge_u (local.get $n) (local.get $unit)) (i32.eq (local.get $unit) (i32.const 1)))
      (then (i32.store8 (local.get $at) (i32.add (i32.const 48)
        (i32.rem_u (i32.div_u (local.get $n) (local.get $unit)) (i32.const 10)))))))
  (func $number (param $at i32) (param $n i32)
    (call $digit (local.get $at) (local.get $n) (i32.const 100))
    (call $digit (i32.add (local.get $at) (i32.const 1)) (local.get $n) (i32.const 10))
    (call $digit (i32.add (local.get $at) (i32.const 2)) (local.get $n) (i32.const 1)))
  (func (export "_start") (local $i i32)
    {})))";

  std::string data_;
  std::string steps_;
};

}  // namespace heddle::json_rpc
