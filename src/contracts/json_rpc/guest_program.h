// One run of a WASI command: a fresh instance, its standard streams, and its end. The seam between
// the calls of this contract and the sandbox.
//
// Everything runs on one worker. The host hears of output while the program runs or when it is
// resumed; it must not destroy the program from within.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sandbox/instance.h"

namespace heddle::net {
class Worker;
}

namespace heddle::json_rpc {

// How a program ended: without a trap when `_start` returned, with one of reason kExit after
// proc_exit.
struct ProgramEnd {
  std::optional<sandbox::Trap> trap = std::nullopt;
  std::optional<Error> start_error = std::nullopt;  // it never came to `_start`
  sandbox::CallCost cost = {};

  std::int32_t exit_code() const { return trap ? trap->exit_code : 0; }
  bool clean() const { return !trap || trap->reason == sandbox::TrapReason::kExit; }
};

struct ProgramOptions {
  sandbox::Limits limits;
  std::chrono::nanoseconds cpu{0};  // of `_start`; waiting does not count
  std::vector<std::string> environment;
};

class GuestProgram {
 public:
  class Host {
   public:
    virtual void on_output(std::string_view bytes) = 0;        // standard output
    virtual void on_error_output(std::string_view bytes) = 0;  // standard error
    // Whether input may still come; false: a read of empty input is its end.
    virtual bool input_open() = 0;
    virtual void on_end(const ProgramEnd& end) = 0;  // once, the last event

   protected:
    ~Host() = default;
  };

  // kLimit: no slot is free, or the module starts with more memory than it may have.
  static Result<std::unique_ptr<GuestProgram>> create(
      net::Worker& worker, std::shared_ptr<const sandbox::LinkedModule> module,
      const ProgramOptions& options, Host& host);
  // Ends the guest wherever it is, without an event.
  virtual ~GuestProgram() = default;

  // Runs it until it waits for input or ends.
  virtual void run() = 0;
  // Adds to standard input; resumes a guest that waits for it, when the event that runs has ended.
  virtual void write(std::string_view bytes) = 0;
  // Bytes of standard input that the guest has not read.
  virtual std::size_t unread() const = 0;
  // input_open() may have changed.
  virtual void check_input() = 0;
  // CPU time until it waited last, and a new limit counted from there.
  virtual std::chrono::nanoseconds cpu() const = 0;
  virtual void renew_cpu_limit(std::chrono::nanoseconds limit) = 0;
};

}  // namespace heddle::json_rpc
