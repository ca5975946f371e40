#include "contracts/native_hook/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX names
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <new>
#include <span>
#include <utility>

#include "contracts/native_hook/memory_file.h"

namespace heddle::native_hook {
namespace {

// The same file under a number above those that the child's files get, which duplicating them in
// turn would overwrite.
Result<net::Fd> out_of_the_way(int fd) {
  constexpr int kAbove = 64;
  net::Fd copy(fcntl(fd, F_DUPFD_CLOEXEC, kAbove));
  if (!copy) return system_error("no file descriptor is left for its child process");
  return copy;
}

// What posix_spawn is told, freed again.
class SpawnPlan {
 public:
  SpawnPlan() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  // The child has `file` as number `as`.
  Result<void> give(int file, int as) {
    auto copy = out_of_the_way(file);
    if (!copy) return std::unexpected(std::move(copy.error()));
    posix_spawn_file_actions_adddup2(&actions_, copy->get(), as);
    copies_.push_back(std::move(*copy));
    return {};
  }
  void close_the_rest() {
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions_, kChildFiles);
  }
  Result<pid_t> spawn(const ChildProcess::Options& options) {
    std::string limit = std::to_string(options.memory_limit);
    std::array<std::string, 4> texts = {options.program, std::string(kChildVerb), options.name,
                                        std::move(limit)};
    std::vector<char*> arguments;
    arguments.reserve(texts.size() + 1);
    for (std::string& each : texts) arguments.push_back(each.data());
    arguments.push_back(nullptr);
    std::vector<std::string> variables = options.environment;
    std::vector<char*> environment;
    environment.reserve(variables.size() + 1);
    for (std::string& each : variables) environment.push_back(each.data());
    environment.push_back(nullptr);
    pid_t pid = 0;
    const int code = posix_spawn(&pid, options.program.c_str(), &actions_, &attributes_,
                                 arguments.data(), environment.data());
    if (code == 0) return pid;
    errno = code;
    return system_error(fmt::format("its child process {} cannot be started", options.program));
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
  std::vector<net::Fd> copies_;
};

}  // namespace

void ChildProcess::Unmap::operator()(ChildMemory* memory) const {
  munmap(memory, sizeof *memory);
}

ChildProcess::ChildProcess(pid_t pid, Memory memory, net::Fd exit_file, net::Fd output_file)
    : pid_(pid),
      memory_(std::move(memory)),
      calls_(memory_->calls),
      answers_(memory_->answers),
      exit_file_(std::move(exit_file)),
      output_file_(std::move(output_file)) {}

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(const Options& options) {
  const net::Fd file(memfd_create("heddle-hook-calls", MFD_CLOEXEC));
  if (!file || ftruncate(file.get(), sizeof(ChildMemory)) != 0) {
    return system_error("the memory shared with its child process cannot be made");
  }
  void* address =
      mmap(nullptr, sizeof(ChildMemory), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (address == MAP_FAILED) {
    return system_error("the memory shared with its child process cannot be made");
  }
  Memory memory(new (address) ChildMemory);
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return system_error("no pipe for its output");
  net::Fd output(ends[0]);
  const net::Fd input(ends[1]);
  fcntl(output.get(), F_SETFL, O_NONBLOCK);

  SpawnPlan plan;
  const std::array<std::pair<int, int>, 5> files = {{{input.get(), STDOUT_FILENO},
                                                     {input.get(), STDERR_FILENO},
                                                     {file.get(), kChildMemoryFile},
                                                     {options.plugin_file.get(), kChildPluginFile},
                                                     {options.bell.get(), kChildBell}}};
  for (const auto& [each, as] : files) {
    if (auto given = plan.give(each, as); !given) return std::unexpected(given.error());
  }
  plan.close_the_rest();
  const auto pid = plan.spawn(options);
  if (!pid) return std::unexpected(pid.error());
  // This glibc's header of pidfd_open() cannot be used from C++.
  net::Fd exit_file(static_cast<int>(syscall(SYS_pidfd_open, *pid, 0)));
  std::unique_ptr<ChildProcess> out(
      new ChildProcess(*pid, std::move(memory), std::move(exit_file), std::move(output)));
  if (!out->exit_file_) return system_error("its child process cannot be watched");
  return out;
}

ChildProcess::~ChildProcess() {
  kill();
  reap();
}

void ChildProcess::kill() {
  if (!reaped_) ::kill(pid_, SIGKILL);
}

void ChildProcess::reap() {
  if (std::exchange(reaped_, true)) return;
  while (waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
  }
}

std::string ChildProcess::how_it_ended() {
  reap();
  if (!WIFSIGNALED(status_)) return fmt::format("ended with status {}", WEXITSTATUS(status_));
  const int signal = WTERMSIG(status_);
  return fmt::format("was killed by signal {} ({})", signal, sigdescr_np(signal));
}

std::size_t ChildProcess::memory_bytes() const {
  std::ifstream file(fmt::format("/proc/{}/statm", pid_));
  std::size_t all = 0;
  std::size_t resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace heddle::native_hook
