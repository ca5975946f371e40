#include "messaging/service.h"

#include <sodium.h>

#include <future>

namespace heddle::messaging {
namespace {

constexpr std::chrono::minutes kTendInterval{1};
constexpr std::size_t kCached = 100'000;
// How long what another server changed may stay unseen.
constexpr std::chrono::seconds kSharedLifetime{5};

}  // namespace

MessageService::MessageService(Dependencies dependencies)
    : settings_(dependencies.settings),
      hooks_(dependencies.hooks),
      log_(dependencies.log),
      message_rate_(settings_.messages_per_second, settings_.message_burst),
      address_rate_(settings_.logins_per_second, settings_.login_burst),
      guard_(settings_.login_failures, settings_.login_lockout),
      sessions_(kCached, dependencies.shared ? kSharedLifetime : std::chrono::seconds(0)),
      accounts_(kCached),
      channels_(kCached),
      sent_(dependencies.metrics.counter("heddle_messaging_messages_total", "Messages stored", {})),
      blocked_(dependencies.metrics.counter("heddle_messaging_blocked_total",
                                            "Messages that a hook did not let through", {})),
      delivered_(dependencies.metrics.counter("heddle_messaging_delivered_total",
                                              "Messages handed to their recipients", {})),
      acknowledged_(dependencies.metrics.counter("heddle_messaging_acknowledged_total",
                                                 "Messages acknowledged by their recipients", {})),
      logins_failed_(dependencies.metrics.counter("heddle_messaging_failed_logins_total",
                                                  "Logins that failed or were locked out", {})),
      limited_(dependencies.metrics.counter("heddle_messaging_rate_limited_total",
                                            "Requests over a rate limit", {})),
      storage_(std::move(dependencies.storage)),
      passwords_(settings_.password_memory, settings_.password_operations) {}

MessageService::~MessageService() = default;

std::string MessageService::repeat_key(const Account& caller,
                                       const std::string& client_message_id) const {
  if (client_message_id.empty()) return {};
  // A keyed hash: the store of a sealed message must not tell who sent it.
  const std::string text = std::to_string(caller.id) + ':' + client_message_id;
  const std::string& secret = storage_->secret();
  std::string out(crypto_generichash_BYTES, '\0');
  crypto_generichash(reinterpret_cast<unsigned char*>(out.data()), out.size(),
                     reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                     reinterpret_cast<const unsigned char*>(secret.data()), secret.size());
  return out;
}

Task<Outcome<OpenedChannel>> MessageService::open_channel(net::Worker& worker, Account caller,
                                                          std::string peer_key) {
  if (auto allowed = limit(message_rate_, caller.identity_key, 1); !allowed) {
    co_return std::unexpected(std::move(allowed.error()));
  }
  if (!accounts_.find(peer_key, monotonic_now())) {
    auto peer = co_await Answer<Result<Account>>(
        worker, [&](auto done) { storage_->account_by_key(peer_key, std::move(done)); });
    if (!peer && peer.error().kind == ErrorKind::kNotFound) {
      co_return refuse(404, "unknown_recipient", "no account has this peer_key");
    }
    if (!peer) co_return std::unexpected(refusal_of(peer.error()));
    accounts_.keep(peer_key, std::move(*peer), monotonic_now());
  }
  std::string id(kChannelIdBytes, '\0');
  randombytes_buf(id.data(), id.size());
  auto opened = co_await Answer<Result<OpenedChannel>>(worker, [&](auto done) {
    storage_->open_channel(std::move(id), caller.identity_key, peer_key, std::move(done));
  });
  if (!opened) co_return std::unexpected(refusal_of(opened.error()));
  hooks_.current()->tell(worker, extension::ChannelEvent{.channel_id = opened->channel.id,
                                                         .initiator_key = caller.identity_key,
                                                         .peer_key = peer_key,
                                                         .was_new = opened->was_new});
  co_return std::move(*opened);
}

Task<Outcome<Channel>> MessageService::channel_for(net::Worker& worker, Account caller,
                                                   std::string channel_id) {
  auto known = channels_.find(channel_id, monotonic_now());
  if (!known) {
    auto found = co_await Answer<Result<Channel>>(
        worker, [&](auto done) { storage_->channel(channel_id, std::move(done)); });
    if (!found && found.error().kind != ErrorKind::kNotFound) {
      co_return std::unexpected(refusal_of(found.error()));
    }
    if (found) {
      channels_.keep(channel_id, *found, monotonic_now());
      known = std::move(*found);
    }
  }
  // A channel of others is as unknown as one that does not exist.
  if (!known || !known->has(caller.identity_key)) {
    co_return refuse(404, "unknown_channel", "you have no such channel; open it first");
  }
  co_return std::move(*known);
}

void MessageService::start(net::Worker& worker) {
  tending_ = &worker;
  worker.post([this, &worker] { tend(worker); });
}

void MessageService::tend(net::Worker& worker) {
  spawn(expire(worker, Busy(*this)));
  tend_timer_.arm(worker.timers(), kTendInterval, [this, &worker] {
    const net::Worker::Scope scope(worker);
    worker.defer([this, &worker] { tend(worker); });
  });
}

void MessageService::finish() {
  hub_.close();
  if (tending_ != nullptr) {
    std::promise<void> cancelled;
    tending_->post([&] {
      tend_timer_.cancel();
      cancelled.set_value();
    });
    cancelled.get_future().wait();
  }
  for (int busy = busy_.load(); busy > 0; busy = busy_.load()) busy_.wait(busy);
}

Task<> MessageService::expire(net::Worker& worker, Busy /*busy*/) {
  const std::int64_t now = wall_now() / 1'000'000;
  const std::int64_t kept = settings_.retention.count();
  auto dropped = co_await Answer<Result<std::uint64_t>>(worker, [&](auto done) {
    storage_->expire(kept == 0 ? 0 : now - kept, now, std::move(done));
  });
  if (!dropped) {
    log_.warn("old messages could not be dropped", {{"error", dropped.error().message}});
  } else if (*dropped > 0) {
    log_.info("dropped messages older than the retention", {{"messages", *dropped}});
  }
}

}  // namespace heddle::messaging
