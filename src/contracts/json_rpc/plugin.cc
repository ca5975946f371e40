#include "contracts/json_rpc/plugin.h"

#include "contracts/json_rpc/call.h"

namespace heddle::json_rpc {
namespace {

class CallHandle final : public extension::RpcTarget::Handle {
 public:
  explicit CallHandle(std::shared_ptr<Call> call) : call_(std::move(call)) {}
  ~CallHandle() override { call_->cancel(); }
  CallHandle(const CallHandle&) = delete;
  CallHandle& operator=(const CallHandle&) = delete;

 private:
  std::shared_ptr<Call> call_;
};

class Target final : public extension::RpcTarget {
 public:
  explicit Target(std::shared_ptr<Version> version) : version_(std::move(version)) {}

  std::unique_ptr<Handle> call(net::Worker& worker, extension::RpcCall call, Done done) override {
    auto made = std::make_shared<Call>(version_, worker, std::move(call), std::move(done));
    made->submit();
    return std::make_unique<CallHandle>(std::move(made));
  }
  std::size_t body_limit() const override { return version_->spec.body_limit; }
  std::chrono::milliseconds timeout() const override { return version_->spec.timeout; }

 private:
  std::shared_ptr<Version> version_;
};

}  // namespace

Plugin::Plugin(std::shared_ptr<Version> version)
    : version_(std::move(version)), target_(std::make_shared<Target>(version_)) {}

Plugin::~Plugin() = default;

extension::PluginStats Plugin::stats() const {
  extension::PluginStats out = version_->record.stats();
  out.exchanges = out.calls;
  return out;
}

}  // namespace heddle::json_rpc
