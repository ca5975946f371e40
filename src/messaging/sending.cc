// The way of a message into the store.
#include <algorithm>

#include "messaging/draft.h"
#include "messaging/service.h"
#include "messaging/verdicts.h"

namespace heddle::messaging {

using extension::HookMoment;

namespace {

constexpr std::size_t kMaxFiles = 100;
constexpr std::size_t kMaxFileName = 1'024;
constexpr std::size_t kMaxClientId = 128;

}  // namespace

Outcome<void> MessageService::check_message(const SendRequest& request) const {
  if (request.body.size() > settings_.max_payload) {
    return refuse(413, "payload_too_large",
                  "a message has at most " + std::to_string(settings_.max_payload) +
                      " bytes (messaging.max_payload)");
  }
  if (request.files.size() > kMaxFiles || std::ranges::any_of(request.files, [](const auto& file) {
        return file.size() > kMaxFileName;
      })) {
    return refuse(400, "bad_files", "involved_files has at most 100 names of 1024 bytes");
  }
  if (request.client_message_id.size() > kMaxClientId) {
    return refuse(400, "bad_client_message_id", "a client_message_id has at most 128 bytes");
  }
  return {};
}

Task<Outcome<Channel>> MessageService::check_recipient(net::Worker& worker, Account caller,
                                                       std::string channel_id,
                                                       std::string recipient_key) {
  auto channel = co_await channel_for(worker, caller, std::move(channel_id));
  if (!channel || channel->has(recipient_key)) co_return channel;
  auto exists = co_await Answer<Result<Account>>(
      worker, [&](auto done) { storage_->account_by_key(recipient_key, std::move(done)); });
  if (!exists && exists.error().kind == ErrorKind::kNotFound) {
    co_return refuse(404, "unknown_recipient", "no account has this recipient_key");
  }
  if (!exists) co_return std::unexpected(refusal_of(exists.error()));
  co_return refuse(403, "not_in_channel", "the recipient is not in this channel");
}

Task<Outcome<void>> MessageService::ask(net::Worker& worker, HookMoment moment,
                                        std::shared_ptr<Draft> draft) {
  if (!draft->chain->wants(moment)) co_return Outcome<void>();
  const extension::Verdict verdict = co_await Verdicts{*draft->chain, moment, worker, draft->event};
  if (verdict.allowed) co_return Outcome<void>();
  blocked_->add();
  co_return std::unexpected(
      Refusal{.status = 403,
              .code = "blocked",
              .message = verdict.reason.empty() ? "a plugin blocked the message" : verdict.reason,
              .plugin = verdict.plugin});
}

Task<Outcome<Sent>> MessageService::send_draft(net::Worker& worker, Account caller,
                                               std::shared_ptr<Draft> draft) {
  const SendRequest& request = draft->request;
  if (auto allowed = limit(message_rate_, caller.identity_key, 1); !allowed) {
    co_return std::unexpected(std::move(allowed.error()));
  }
  if (auto right = check_message(request); !right) {
    co_return std::unexpected(std::move(right.error()));
  }
  auto channel =
      co_await check_recipient(worker, caller, request.channel_id, request.recipient_key);
  if (!channel) co_return std::unexpected(std::move(channel.error()));
  const std::string repeat = repeat_key(caller, request.client_message_id);
  std::optional<Repeats::Turn> turn;
  if (!repeat.empty()) {
    turn.emplace(co_await repeats_.begin(worker, repeat));
    auto earlier = co_await Answer<Result<std::optional<Receipt>>>(
        worker, [&](auto done) { storage_->repeated(repeat, std::move(done)); });
    if (!earlier) co_return std::unexpected(refusal_of(earlier.error()));
    if (*earlier) co_return Sent{**earlier, request.recipient_key};
  }
  draft->prepare(caller, *channel);
  if (auto verdict = co_await ask(worker, HookMoment::kSend, draft); !verdict) {
    co_return std::unexpected(std::move(verdict.error()));
  }
  auto place = co_await Answer<Result<std::unique_ptr<Reservation>>>(
      worker, [&](auto done) { storage_->reserve(request.recipient_key, std::move(done)); });
  if (!place) co_return std::unexpected(refusal_of(place.error()));
  draft->event.seq = (*place)->seq();
  if (auto verdict = co_await ask(worker, HookMoment::kEnqueue, draft); !verdict) {
    co_return std::unexpected(std::move(verdict.error()));
  }
  auto stored = co_await Answer<Result<Receipt>>(worker, [&](auto done) {
    (*place)->store({.recipient_key = request.recipient_key,
                     .channel = channel->number,
                     .sender_key = draft->sender_key,
                     .encrypted = request.encrypted,
                     .body = request.body,
                     .files = request.files,
                     .sent_at = wall_now() / 1'000'000,
                     .repeat_key = repeat},
                    std::move(done));
  });
  if (!stored) co_return std::unexpected(refusal_of(stored.error()));
  if (!stored->repeated) sent_->add();
  co_return Sent{*stored, request.recipient_key};
}

Task<Outcome<Sent>> MessageService::send(net::Worker& worker, Account caller, SendRequest request) {
  co_return co_await send_draft(worker, std::move(caller),
                                std::make_shared<Draft>(std::move(request), hooks_.current()));
}

Task<std::vector<Outcome<Sent>>> MessageService::send_batch(net::Worker& worker, Account caller,
                                                            std::vector<SendRequest> requests) {
  const auto chain = hooks_.current();
  std::vector<Outcome<Sent>> out;
  std::vector<std::shared_ptr<Draft>> stored;
  for (SendRequest& request : requests) {
    auto draft = std::make_shared<Draft>(std::move(request), chain);
    out.push_back(co_await send_draft(worker, caller, draft));
    if (out.back() && !out.back()->receipt.repeated) stored.push_back(std::move(draft));
  }
  if (!stored.empty() && chain->wants(HookMoment::kBatch)) {
    std::vector<extension::MessageEvent> events;
    events.reserve(stored.size());
    for (const auto& draft : stored) events.push_back(draft->event);
    chain->tell(worker, extension::BatchEvent{.messages = events});
  }
  co_return out;
}

void MessageService::announce(net::Worker& worker, const std::vector<Sent>& sent) {
  const auto chain = hooks_.current();
  for (const Sent& each : sent) {
    if (each.receipt.repeated) continue;
    hub_.notify(each.recipient_key);
    chain->tell(worker, extension::SentEvent{.message_id = each.receipt.id});
  }
}

}  // namespace heddle::messaging
