#include "contracts/proxy_wasm/grpc_calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "contracts/proxy_wasm/root.h"

namespace heddle::proxy_wasm {
namespace {

std::uint32_t size_of(const http::HeadPtr& head) {
  return head != nullptr ? static_cast<std::uint32_t>(head->headers.size()) : 0;
}

// Sets a pointer while a callback runs.
template <typename T>
class Shown {
 public:
  Shown(const T*& place, const T* value) : place_(place) { place_ = value; }
  ~Shown() { place_ = nullptr; }
  Shown(const Shown&) = delete;
  Shown& operator=(const Shown&) = delete;

 private:
  const T*& place_;
};

}  // namespace

// One call or stream. An event may end it through the guest, so each holds a reference meanwhile.
class GrpcCalls::Call final : public services::GrpcEvents,
                              public std::enable_shared_from_this<GrpcCalls::Call> {
 public:
  Call(GrpcCalls& owner, Kind kind, std::uint32_t token, std::uint32_t context,
       std::string_view upstream)
      : kind_(kind), token_(token), context_(context), owner_(owner), upstream_(upstream) {}
  ~Call() { cancel(); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Kind kind() const { return kind_; }
  std::uint32_t token() const { return token_; }
  std::uint32_t context() const { return context_; }

  Result<void> start(extension::UpstreamDirectory& upstreams, net::Worker& worker,
                     bool permit_address, const services::GrpcRequest& request) {
    const std::size_t limit = owner_.root_.spec().buffer_limit;
    grpc_ = std::make_shared<services::GrpcCall>(
        worker, services::GrpcCall::Limits{.max_message = limit, .max_queued = limit}, *this);
    auto stream = upstreams.open_stream(worker, upstream_, permit_address, *grpc_);
    if (!stream) return std::unexpected(std::move(stream.error()));
    stream_ = std::move(*stream);
    grpc_->start(stream_->sender(), request);
    return {};
  }

  bool send(std::string_view message, bool end) {
    return grpc_ == nullptr || grpc_->send(message, end);
  }
  void end() {
    if (grpc_ != nullptr) grpc_->end();
  }
  // Also what makes the callbacks that are still on their way vanish.
  void cancel() {
    live_ = false;
    if (grpc_ != nullptr) grpc_->cancel();
  }

 private:
  void on_initial_metadata(http::HeadPtr metadata) override {
    const auto root = owner_.root_.shared_from_this();  // a trap takes it from its owner
    const auto self = shared_from_this();
    show_initial(metadata);
  }

  void on_message(http::Buffer message) override {
    const auto root = owner_.root_.shared_from_this();  // a trap takes it from its owner
    const auto self = shared_from_this();
    if (kind_ == Kind::kCall) {
      answer_ = std::move(message);
    } else {
      show_message(message);
    }
  }

  void on_close(http::HeadPtr trailers, services::GrpcStatus status) override {
    const auto root = owner_.root_.shared_from_this();  // a trap takes it from its owner
    const auto self = shared_from_this();
    log(status);
    if (kind_ == Kind::kCall) {
      end_call(std::move(status));
    } else {
      if (!initial_shown_) show_initial(nullptr);
      show_trailing(trailers);
      show_close(status);
    }
    if (live_) owner_.remove(*this);
  }

  void end_call(services::GrpcStatus status) {
    if (status.code != services::GrpcCode::kOk) return show_close(status);
    if (answer_) return show_message(*answer_);
    status = {.code = services::GrpcCode::kInternal, .message = "the answer has no message"};
    show_close(status);
  }

  template <typename Function>
  void tell(Callback callback, const Function& function, std::uint32_t value) {
    Root& root = owner_.root_;
    if (!live_ || !root.alive() || !function) return;
    root.vm().call(callback, root, function, root.id, token_, value);
  }
  void show_initial(const http::HeadPtr& metadata) {
    initial_shown_ = true;
    if (kind_ == Kind::kCall) return;
    const Shown shown(owner_.initial_, metadata != nullptr ? &metadata->headers : nullptr);
    tell(Callback::kGrpcReceiveInitialMetadata,
         owner_.root_.vm().callbacks().grpc_receive_initial_metadata, size_of(metadata));
  }
  void show_message(const http::Buffer& message) {
    const Shown shown(owner_.message_, &message);
    tell(Callback::kGrpcReceive, owner_.root_.vm().callbacks().grpc_receive,
         static_cast<std::uint32_t>(message.size()));
  }
  void show_trailing(const http::HeadPtr& trailers) {
    const Shown shown(owner_.trailing_, trailers != nullptr ? &trailers->headers : nullptr);
    tell(Callback::kGrpcReceiveTrailingMetadata,
         owner_.root_.vm().callbacks().grpc_receive_trailing_metadata, size_of(trailers));
  }
  void show_close(const services::GrpcStatus& status) {
    if (!live_) return;
    const auto code = static_cast<std::uint32_t>(status.code);
    owner_.root_.vm().set_call_status({code, status.message});
    tell(Callback::kGrpcClose, owner_.root_.vm().callbacks().grpc_close, code);
    owner_.root_.vm().set_call_status({});
  }

  void log(const services::GrpcStatus& status) {
    if (!status.local) return;
    if (status.code == services::GrpcCode::kResourceExhausted)
      owner_.root_.stats().limit_hit(Limit::kBody);
    owner_.root_.log().write(LogLevel::kWarn,
                             fmt::format("a gRPC call of the plugin failed with status {}: {}",
                                         static_cast<std::uint32_t>(status.code), status.message),
                             {}, "upstream", upstream_);
  }

  const Kind kind_;
  const std::uint32_t token_;
  const std::uint32_t context_;
  GrpcCalls& owner_;
  const std::string upstream_;
  bool live_ = true;  // not cancelled
  bool initial_shown_ = false;
  std::optional<http::Buffer> answer_;        // of a call: its last message
  std::shared_ptr<services::GrpcCall> grpc_;  // null: a canary's
  std::unique_ptr<extension::OpenStream> stream_;
};

Result<std::uint32_t> GrpcCalls::open(Kind kind, const GrpcTarget& target, bool permit_address,
                                      const services::GrpcRequest& request,
                                      std::string_view message) {
  if (auto admitted = root_.admit_call(); !admitted) return std::unexpected(admitted.error());
  Vm& vm = root_.vm();
  const auto token_kind =
      kind == Kind::kCall ? Vm::TokenKind::kGrpcCall : Vm::TokenKind::kGrpcStream;
  const std::uint32_t token = vm.next_token(token_kind);
  auto call = std::make_shared<Call>(*this, kind, token, vm.context().id, target.upstream);
  if (vm.worker() != nullptr) {
    extension::UpstreamDirectory* upstreams = root_.version().services.upstreams;
    if (upstreams == nullptr) return fail(ErrorKind::kUnavailable, "there are no upstreams here");
    if (auto started = call->start(*upstreams, *vm.worker(), permit_address, request); !started) {
      return std::unexpected(std::move(started.error()));
    }
    if (kind == Kind::kCall) call->send(message, true);
  }
  calls_.push_back(std::move(call));
  vm.use_token(token_kind);
  return token;
}

Status GrpcCalls::send(std::uint32_t token, std::string_view message, bool end) {
  const auto call = find(token);
  if (call == nullptr) return Status::kNotFound;
  if (call->kind() != Kind::kStream) return Status::kBadArgument;
  if (call->send(message, end)) return Status::kOk;
  root_.log().write(LogLevel::kWarn,
                    "grpc_send refused: the stream's end was sent, or more than buffer_limit waits",
                    root_.vm().request_id());
  return Status::kBadArgument;
}

Status GrpcCalls::close(std::uint32_t token) {
  const auto call = find(token);
  if (call == nullptr) return Status::kNotFound;
  if (call->kind() == Kind::kCall) return cancel(token);
  call->end();
  return Status::kOk;
}

Status GrpcCalls::cancel(std::uint32_t token) {
  const auto call = find(token);
  if (call == nullptr) return Status::kNotFound;
  call->cancel();
  remove(*call);
  return Status::kOk;
}

void GrpcCalls::clear() {
  const auto calls = std::exchange(calls_, {});
  for (const auto& call : calls) call->cancel();
}

std::size_t GrpcCalls::under_way(std::uint32_t context) const {
  return static_cast<std::size_t>(std::ranges::count(calls_, context, &Call::context));
}

std::shared_ptr<GrpcCalls::Call> GrpcCalls::find(std::uint32_t token) const {
  const auto found = std::ranges::find(calls_, token, &Call::token);
  return found != calls_.end() ? *found : nullptr;
}

void GrpcCalls::remove(const Call& call) {
  std::erase_if(calls_, [&](const auto& each) { return each.get() == &call; });
}

}  // namespace heddle::proxy_wasm
