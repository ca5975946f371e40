// One call of a plugin: its guest, the line protocol, the guest's own requests, its limits and its
// end. Lives on one worker; alive until its handle, its lane and its open events have let go.
//
//   submit (Lane) -> start_soon -> start: instance, request line -> run
//     -> on_request … settle …  -> on_result / on_error -> on_end -> finish -> done, lane.leave
//
// Whatever ends the call first decides its answer; the rest is for the log. A call that is kept (a
// session, session.h) has no lane, and its guest serves further requests:
//
//   open -> start -> … on_result -> hand_over: done;  again -> … -> hand_over;  cancel
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "contracts/json_rpc/guest_program.h"
#include "contracts/json_rpc/line_cutter.h"
#include "contracts/json_rpc/line_protocol.h"
#include "contracts/json_rpc/version.h"
#include "extension/rpc_target.h"
#include "net/timer.h"
#include "services/pending_call.h"

namespace heddle::json_rpc {

class Call final : public std::enable_shared_from_this<Call>,
                   private LineProtocol::Handler,
                   private GuestProgram::Host {
 public:
  // A guest may go on this long after its answer, to say goodbye.
  static constexpr std::chrono::milliseconds kLinger{1'000};

  Call(std::shared_ptr<Version> version, net::Worker& worker, extension::RpcCall call,
       extension::RpcTarget::Done done);
  ~Call() override;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  void submit();
  void start_soon();   // when the event that runs has ended
  void start_later();  // as an event of its own
  void cancel();       // the caller is gone
  // Of sessions: instead of submit(), and the next request, when the former is answered.
  void open();
  void again(std::string_view method, std::string_view params, extension::RpcTarget::Done done);

  // Its place among the calls of its lane.
  std::uint64_t turn() const { return turn_; }
  void set_turn(std::uint64_t turn) { turn_ = turn; }
  Version& version() const { return *version_; }
  bool started() const { return started_; }
  bool over() const { return over_; }

 private:
  void start();
  void arm_timeout();
  void answered();
  void hand_over();
  void finish(RpcOutcome outcome);
  void refuse(RpcError error);
  RpcError queue_is_full();
  void ask_caller(LineProtocol::Token token, std::string_view method,
                  const boost::json::value& params);
  bool admit_open_request(LineProtocol::Token token);
  void serve(const HostMethods::Method& method, LineProtocol::Token token,
             const boost::json::value& params);
  HostMethods::Reply reply_to(LineProtocol::Token token);
  void settle(LineProtocol::Token token, const RpcOutcome& outcome);
  bool log_line(std::string_view line);
  void measure(std::chrono::nanoseconds cpu);
  bool admit_host_call();
  void end_by_limit(std::string_view limit, std::string_view detail);
  bool permitted(std::string_view method) const;
  RpcOutcome outcome_of(const ProgramEnd& end) const;
  Lane& lane() const;

  // LineProtocol::Handler
  void on_request(LineProtocol::Token token, std::string_view method,
                  const boost::json::value& params) override;
  void on_notification(std::string_view method, const boost::json::value& params) override;
  void on_result(std::string result) override;
  void on_error(RpcError error) override;
  void on_violation(Violation violation, std::string_view detail) override;
  void on_send(std::string line) override;
  // GuestProgram::Host
  void on_output(std::string_view bytes) override;
  void on_error_output(std::string_view bytes) override;
  bool input_open() override;
  void on_end(const ProgramEnd& end) override;

  std::shared_ptr<Version> version_;
  net::Worker& worker_;
  extension::RpcCall call_;
  extension::RpcTarget::Done done_;
  LineProtocol protocol_;
  LineCutter log_lines_;
  std::unique_ptr<GuestProgram> program_;
  net::Timer timer_;
  Nanoseconds begun_ = 0;
  RpcOutcome answer_;
  // Requests of the guest that wait for a service, or (null) for the caller; dropping one cancels
  // it.
  std::unordered_map<LineProtocol::Token, services::Pending> pending_;
  std::uint64_t host_calls_ = 0;
  std::uint64_t notifications_ = 0;
  std::uint64_t turn_ = 0;
  bool started_ = false;
  bool waited_ = false;  // in its lane
  bool over_ = false;
  bool kept_ = false;
  std::chrono::nanoseconds cpu_before_{0};  // of former requests
};

}  // namespace heddle::json_rpc
