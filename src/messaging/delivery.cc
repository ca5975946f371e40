// The way of messages out of the store.
#include "messaging/service.h"

namespace heddle::messaging {
namespace {

constexpr std::size_t kMaxFetchBytes = std::size_t{4} << 20U;

}  // namespace

Task<Outcome<std::vector<StoredMessage>>> MessageService::fetch(net::Worker& worker, Account caller,
                                                                FetchRequest request,
                                                                std::shared_ptr<Bell> bell) {
  Fetch fetch{.recipient_key = caller.identity_key,
              .after = request.after,
              .limit = request.limit,
              .max_bytes = kMaxFetchBytes};
  if (!request.channel_id.empty()) {
    auto channel = co_await channel_for(worker, caller, request.channel_id);
    if (!channel) co_return std::unexpected(std::move(channel.error()));
    fetch.channel = channel->number;
  }
  // Heard of before it is looked for, so that nothing comes between.
  std::optional<Hub::Subscription> subscription;
  if (request.wait.count() > 0) subscription.emplace(hub_, caller.identity_key, bell);
  const Nanoseconds until = monotonic_now() + to_nanoseconds(request.wait);
  std::vector<StoredMessage> out;
  for (;;) {
    auto found = co_await Answer<Result<std::vector<StoredMessage>>>(
        worker, [&](auto done) { storage_->fetch(fetch, std::move(done)); });
    if (!found) co_return std::unexpected(refusal_of(found.error()));
    out = std::move(*found);
    const Nanoseconds left = until - monotonic_now();
    if (!out.empty() || left <= 0 || bell->closed()) break;
    co_await bell->wait(std::chrono::nanoseconds(left));
  }
  if (out.empty() && request.silent_when_empty) co_return out;
  delivered_->add(out.size());
  hooks_.current()->tell(worker, extension::FetchEvent{.recipient_key = caller.identity_key,
                                                       .channel_id = request.channel_id,
                                                       .message_count = out.size()});
  co_return out;
}

Task<Outcome<Mailbox>> MessageService::peek(net::Worker& worker, Account caller) {
  auto found = co_await Answer<Result<Mailbox>>(
      worker, [&](auto done) { storage_->peek(caller.identity_key, std::move(done)); });
  if (!found) co_return std::unexpected(refusal_of(found.error()));
  co_return *found;
}

Task<Outcome<std::uint64_t>> MessageService::acknowledge(net::Worker& worker, Account caller,
                                                         std::uint64_t up_to) {
  auto dropped = co_await Answer<Result<std::uint64_t>>(worker, [&](auto done) {
    storage_->acknowledge(caller.identity_key, up_to, std::move(done));
  });
  if (!dropped) co_return std::unexpected(refusal_of(dropped.error()));
  acknowledged_->add(*dropped);
  co_return *dropped;
}

}  // namespace heddle::messaging
