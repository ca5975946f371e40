// A tree as compact JSON: what a plugin gets for a `config` that is a map or list.
#pragma once

#include <string>
#include <string_view>

#include "config/node.h"
#include "config/scalars.h"

namespace heddle::config {

enum class Secrets : std::uint8_t { kShown, kRedacted };

struct JsonFailure {
  Mark mark;
  Complaint complaint;
};

// Keeps the order of keys. A plain scalar gets the type that the core schema of YAML 1.2 gives it
// after ${VAR} is expanded; integers keep all their digits, floats stay as written where JSON can
// say so. With kRedacted, values under keys that sound like secrets are "***" and ${ is escaped,
// for a dump that is read again.
std::expected<std::string, JsonFailure> to_json(const Node& node, Secrets secrets);

// Whether a key or the name of a header names something that must not be shown: password, secret,
// token, key, credential, authorization, cookie.
bool sounds_secret(std::string_view key);

// A plugin's configuration for the eyes of an operator, as JSON: secrets inside of a map are
// redacted; other text that mentions one is hidden whole.
std::string redact_payload(std::string_view payload);

}  // namespace heddle::config
