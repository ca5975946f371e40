#include "contracts/json_rpc/guest_program.h"

#include <functional>
#include <utility>

#include "net/timer.h"
#include "net/worker.h"

namespace heddle::json_rpc {
namespace {

// A guest that wrote as much waits until it was read, and others of its worker have had a turn.
constexpr std::size_t kMaxUndelivered = std::size_t{256} << 10U;

class WorkerLoop final : public sandbox::Loop {
 public:
  explicit WorkerLoop(net::Worker& worker) : worker_(worker) {}
  void post(std::move_only_function<void()> task) override { worker_.post(std::move(task)); }

 private:
  net::Worker& worker_;
};

// What the guest writes is kept until its thread has its own stack back: there it is read, which
// may take more stack than a guest has for host functions.
class Program final : public GuestProgram, public sandbox::WasiHost {
 public:
  Program(net::Worker& worker, Host& host) : worker_(worker), loop_(worker), host_(host) {}

  Result<void> prepare(std::shared_ptr<const sandbox::LinkedModule> module,
                       const ProgramOptions& options) {
    environment = options.environment;
    sandbox::Limits limits = options.limits;
    limits.cpu = options.cpu;
    auto made = sandbox::Instance::create_suspendable(std::move(module), limits, this, this, loop_);
    if (!made) return std::unexpected(std::move(made.error()));
    instance_ = std::move(*made);
    return {};
  }

  void run() override {
    instance_->start_async([this](Result<void> started) {
      if (!started) return end({.start_error = std::move(started.error())});
      auto start = instance_->function<void()>("_start");
      if (!start) return end({.start_error = std::move(start.error())});
      instance_->call_async(*start, [this](sandbox::GuestResult<void> result) {
        ProgramEnd ended;
        if (!result) ended.trap = std::move(result.error());
        end(std::move(ended));
      });
    });
  }

  void write(std::string_view bytes) override {
    if (given_ > input_.size() / 2) {
      input_.erase(0, given_);
      given_ = 0;
    }
    input_ += bytes;
    check_input();
  }

  std::size_t unread() const override { return input_.size() - given_; }

  void check_input() override {
    if (!resume_ || !readable() || std::exchange(wake_posted_, true)) return;
    worker_.defer([this, alive = std::weak_ptr(alive_)] {
      if (alive.expired()) return;
      wake_posted_ = false;
      if (resume_ && readable()) std::exchange(resume_, nullptr)();
    });
  }

  std::chrono::nanoseconds cpu() const override { return instance_->last_cost().cpu; }
  void renew_cpu_limit(std::chrono::nanoseconds limit) override {
    sandbox::Limits limits = instance_->limits();
    limits.cpu = cpu() + limit;
    instance_->set_limits(limits);
  }

  // sandbox::WasiHost, on the guest's stack
  void write(sandbox::Instance& instance, int fd, std::string_view bytes) override {
    (fd == 1 ? output_ : errors_) += bytes;
    if (output_.size() + errors_.size() > kMaxUndelivered) {
      DeliveryWait wait(*this);
      instance.wait(wait);
      return;
    }
    if (std::exchange(delivery_posted_, true)) return;
    worker_.defer([this, alive = std::weak_ptr(alive_)] {
      if (alive.expired()) return;
      delivery_posted_ = false;
      deliver();
    });
  }

  std::string_view read(sandbox::Instance& instance, std::size_t most) override {
    if (given_ == input_.size()) {
      input_.clear();
      given_ = 0;
      InputWait wait(*this);
      if (!instance.wait(wait)) return {};
    }
    const std::string_view out = std::string_view(input_).substr(given_, most);
    given_ += out.size();
    return out;
  }

  void sleep(sandbox::Instance& instance, std::chrono::nanoseconds duration) override {
    SleepWait wait(*this, duration);
    instance.wait(wait);
  }

 private:
  class InputWait final : public sandbox::Wait {
   public:
    explicit InputWait(Program& program) : program_(program) {}
    ~InputWait() override { program_.resume_ = nullptr; }
    InputWait(const InputWait&) = delete;
    InputWait& operator=(const InputWait&) = delete;
    void start(Resume resume) override {
      program_.deliver();
      if (program_.readable()) return resume();
      program_.resume_ = std::move(resume);
    }

   private:
    Program& program_;
  };

  class DeliveryWait final : public sandbox::Wait {
   public:
    explicit DeliveryWait(Program& program) : program_(program) {}
    void start(Resume resume) override {
      program_.deliver();
      program_.worker_.post(
          [alive = std::weak_ptr(program_.alive_), resume = std::move(resume)]() mutable {
            if (!alive.expired()) resume();
          });
    }

   private:
    Program& program_;
  };

  class SleepWait final : public sandbox::Wait {
   public:
    SleepWait(Program& program, std::chrono::nanoseconds duration)
        : program_(program), duration_(duration) {}
    void start(Resume resume) override {
      program_.deliver();
      timer_.arm(program_.worker_.timers(), duration_, std::move(resume));
    }

   private:
    Program& program_;
    std::chrono::nanoseconds duration_;
    net::Timer timer_;
  };

  bool readable() { return given_ < input_.size() || !host_.input_open(); }

  void deliver() {
    if (!errors_.empty()) host_.on_error_output(std::exchange(errors_, {}));
    if (!output_.empty()) host_.on_output(std::exchange(output_, {}));
  }

  void end(ProgramEnd ended) {
    deliver();
    ended.cost = instance_->last_cost();
    host_.on_end(ended);
  }

  net::Worker& worker_;
  WorkerLoop loop_;
  Host& host_;
  std::string input_;
  std::size_t given_ = 0;
  std::string output_;
  std::string errors_;
  sandbox::Wait::Resume resume_;  // of a guest that waits for input
  bool wake_posted_ = false;
  bool delivery_posted_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
  std::unique_ptr<sandbox::Instance> instance_;  // first to go: its guest's frames use the rest
};

}  // namespace

Result<std::unique_ptr<GuestProgram>> GuestProgram::create(
    net::Worker& worker, std::shared_ptr<const sandbox::LinkedModule> module,
    const ProgramOptions& options, Host& host) {
  auto out = std::make_unique<Program>(worker, host);
  if (auto made = out->prepare(std::move(module), options); !made) {
    return std::unexpected(std::move(made.error()));
  }
  return out;
}

}  // namespace heddle::json_rpc
