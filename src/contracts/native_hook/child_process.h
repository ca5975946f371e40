// A child process that runs one plugin: started, its memory and descriptors, killed and reaped.
// Belongs to one thread, which must live as long as the child: the kernel ends the child with the
// thread that started it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "contracts/native_hook/child_memory.h"
#include "net/socket.h"

namespace heddle::native_hook {

class ChildProcess {
 public:
  struct Options {
    std::string program;  // that calls run_child()
    std::string name;     // of the plugin
    const net::Fd& plugin_file;
    const net::Fd& bell;                   // rung when there are answers
    std::vector<std::string> environment;  // all of it
    std::size_t memory_limit = 0;          // of its data, in bytes; 0: none
  };
  static Result<std::unique_ptr<ChildProcess>> start(const Options& options);
  // Kills and reaps.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  RingWriter& calls() { return calls_; }
  RingReader& answers() { return answers_; }
  int exit_file() const { return exit_file_.get(); }      // readable when it has ended
  int output_file() const { return output_file_.get(); }  // what it prints; -1: nothing any more
  void close_output() { output_file_ = {}; }
  void kill();
  // After its end: "was killed by signal 11 (Segmentation fault)", "ended with status 3".
  std::string how_it_ended();
  std::size_t memory_bytes() const;  // resident; any thread

 private:
  struct Unmap {
    void operator()(ChildMemory* memory) const;
  };
  using Memory = std::unique_ptr<ChildMemory, Unmap>;

  ChildProcess(pid_t pid, Memory memory, net::Fd exit_file, net::Fd output_file);
  void reap();

  pid_t pid_;
  bool reaped_ = false;
  int status_ = 0;
  Memory memory_;
  RingWriter calls_;
  RingReader answers_;
  net::Fd exit_file_;
  net::Fd output_file_;
};

}  // namespace heddle::native_hook
