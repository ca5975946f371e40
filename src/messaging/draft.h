// A message on its way into the store: the request with what hooks see of it. Stays where it is
// while they decide.
#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "extension/message_hook_chain.h"
#include "messaging/service.h"
#include "services/crypto.h"

namespace heddle::messaging {

class MessageService::Draft {
 public:
  Draft(SendRequest made, std::shared_ptr<const extension::HookChain> with)
      : request(std::move(made)), chain(std::move(with)) {}
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  void prepare(const Account& caller, const Channel& channel) {
    if (!request.sealed) sender_key = caller.identity_key;
    if (request.encrypted) text = services::base64_of(request.body);
    files.assign(request.files.begin(), request.files.end());
    event.sender_identity = sender_key;
    event.recipient_key = request.recipient_key;
    event.channel_id = request.channel_id;
    event.payload_size = request.body.size();
    event.text = request.encrypted ? std::string_view(text) : std::string_view(request.body);
    event.involved_files = files;
    event.session_id = channel.number;
    event.sender_id = request.sealed ? 0 : caller.id;
    event.is_encrypted = request.encrypted;
  }

  SendRequest request;
  std::shared_ptr<const extension::HookChain> chain;
  std::string sender_key;
  std::string text;
  std::vector<std::string_view> files;
  extension::MessageEvent event;
};

}  // namespace heddle::messaging
