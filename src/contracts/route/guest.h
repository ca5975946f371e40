// One instance of a route plugin and the calls that make up its life: start (`_initialize`,
// `init`), handlers one after the other, `cleanup`. Every call may suspend. Worker thread only;
// destroying it cancels what it does, and no callback comes any more.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "contracts/route/failure.h"
#include "contracts/route/guest_placement.h"
#include "contracts/route/handler_result.h"
#include "contracts/route/host_functions.h"
#include "contracts/route/runtime.h"
#include "sandbox/instance.h"

namespace heddle::route {

class Guest final : private sandbox::WasiHost {
 public:
  using Started = std::move_only_function<void(Outcome<void>)>;
  using Answered = std::move_only_function<void(Outcome<HandlerResponse>)>;
  using Returned = std::move_only_function<void(Outcome<std::int32_t>)>;
  using Finished = std::move_only_function<void()>;

  // kLimit: as Instance::create_suspendable().
  static Result<std::unique_ptr<Guest>> create(
      Runtime& runtime, const std::shared_ptr<const sandbox::LinkedModule>& linked,
      net::Worker& worker, sandbox::Loop& loop);
  ~Guest() override;
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  // One at a time; each calls back once, perhaps from within. A failure is logged and counted
  // already, and the guest may not be used again.
  void start(Started done);
  void handle(const std::string& handler, std::string input, std::string request_id, Answered done);
  // execute(); 404 when there is none.
  void execute(Returned done);
  // Gives back the memory of the last request, so that another may follow.
  void tidy(Finished done);
  // cleanup(), when it is exported and the guest still can.
  void close(Finished done);

  // Of the job that it does from now on.
  void set_timeout(std::chrono::milliseconds timeout) { host_.timeout = timeout; }
  bool usable() const { return started_ && !failed_ && !instance_->dead(); }
  std::uint32_t served() const { return served_; }

 private:
  Guest(Runtime& runtime, net::Worker& worker);
  void write(sandbox::Instance& instance, int fd, std::string_view bytes) override;
  void initialize();
  void init();
  void judge_init(std::int32_t result);
  void start_failed(Failure failure);
  void place(sandbox::GuestPtr address);
  void refuse(Failure failure);
  void refuse_room(sandbox::GuestPtr address);
  void answer(sandbox::GuestPtr result);
  Failure trapped(const sandbox::Trap& trap);
  Failure broken(std::string message);
  void measure(std::string_view call);

  Runtime& runtime_;
  HostContext host_;
  GuestPlacement placement_;
  std::unique_ptr<sandbox::Instance> instance_;
  std::int64_t memory_ = 0;  // as counted in the plugin's figures
  bool started_ = false;
  bool failed_ = false;
  std::uint32_t served_ = 0;

  Started on_start_;
  Answered on_answer_;
  std::string handler_;
  std::string input_;
  sandbox::GuestPtr input_address_ = 0;
  sandbox::GuestSize input_size_ = 0;
  sandbox::GuestPtr result_address_ = 0;
  sandbox::GuestSize result_size_ = 0;  // 0: not Heddle's to free
};

}  // namespace heddle::route
