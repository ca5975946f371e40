#include "extension/message_hook.h"

#include <array>

#include "base/log.h"

namespace heddle::extension {
namespace {

constexpr std::array<std::string_view, kHookMoments> kMomentNames = {
    "send", "enqueue", "sent", "batch", "auth", "channel", "fetch", "user"};

// In the order of HookEvent's alternatives.
constexpr std::array kMoments = {HookMoment::kSent,    HookMoment::kBatch, HookMoment::kAuth,
                                 HookMoment::kChannel, HookMoment::kFetch, HookMoment::kUser};
static_assert(kMoments.size() == std::variant_size_v<HookEvent>);

}  // namespace

std::string_view to_string(HookMoment moment) {
  return kMomentNames.at(static_cast<std::size_t>(moment));
}

HookMoment moment_of(const HookEvent& event) {
  return kMoments.at(event.index());
}

std::string_view MessageEvent::json() const {
  if (!json_.empty()) return json_;
  json_.reserve(text.size() + 128);
  json_ += R"({"markdown_text":)";
  append_json_string(json_, text);
  json_ += R"(,"involved_files":[)";
  for (std::size_t i = 0; i < involved_files.size(); ++i) {
    if (i > 0) json_ += ',';
    append_json_string(json_, involved_files[i]);
  }
  json_ += R"(],"session_id":)";
  json_ += std::to_string(session_id);
  json_ += R"(,"sender_id":)";
  json_ += std::to_string(sender_id);
  json_ += is_encrypted ? R"(,"is_encrypted":true})" : R"(,"is_encrypted":false})";
  return json_;
}

}  // namespace heddle::extension
