// `heddle message register|send|fetch|tail`: the message service from a shell.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>

#include "base/json_write.h"
#include "cli/commands.h"
#include "cli/message_client.h"
#include "cli/output.h"
#include "services/crypto.h"

namespace heddle::cli {
namespace {

namespace json = boost::json;

int failed(const Error& error) {
  print_note("heddle message: " + error.message);
  return kExitFailed;
}

Result<std::unique_ptr<MessageClient>> logged_in(const MessageOptions& options) {
  auto client = MessageClient::create(options.server);
  if (!client) return client;
  if (!options.token.empty()) {
    (*client)->set_token(options.token);
  } else if (options.user.empty()) {
    return fail(ErrorKind::kInvalidArgument,
                "who are you? Give --token, or --user and --password (HEDDLE_TOKEN, HEDDLE_USER, "
                "HEDDLE_PASSWORD)");
  } else if (auto done = (*client)->log_in(options.user, options.password); !done) {
    return std::unexpected(std::move(done.error()));
  }
  return client;
}

std::string all_of(std::istream& stream) {
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// What is sent: the payload file's bytes, the text, or standard input.
Result<json::object> message_of(const MessageOptions& options, const json::value& channel) {
  json::object out{{"recipient_key", options.to}, {"channel_id", channel}};
  if (!options.payload_file.empty()) {
    std::ifstream file(options.payload_file, std::ios::binary);
    if (!file) return fail(ErrorKind::kIo, options.payload_file + ": cannot be read");
    out["payload"] = services::base64_of(all_of(file));
  } else {
    out["text"] = options.text == "-" ? all_of(std::cin) : options.text;
  }
  if (options.sealed) out["sealed"] = true;
  if (!options.files.empty()) {
    out["involved_files"] = json::array(options.files.begin(), options.files.end());
  }
  if (!options.client_message_id.empty()) out["client_message_id"] = options.client_message_id;
  return out;
}

// One message a line, so that a shell can go on with them.
Result<void> print(const json::object& message) {
  return print_result(write_json(message));
}

int print_and_end(const json::object& message) {
  const auto printed = print(message);
  return printed ? kExitOk : failed(printed.error());
}

// The highest number that was printed, or nothing.
Result<std::uint64_t> fetch_once(MessageClient& client, const MessageOptions& options,
                                 std::uint64_t after, std::string_view wait) {
  std::string path = fmt::format("/v1/messages?after={}&limit={}", after, options.limit);
  if (!options.channel.empty()) path += "&channel=" + options.channel;
  if (!wait.empty()) path += fmt::format("&wait={}", wait);
  auto found = client.call("GET", path);
  if (!found) return std::unexpected(std::move(found.error()));
  std::uint64_t last = 0;
  const json::value* messages = found->if_contains("messages");
  if (messages == nullptr || !messages->is_array()) return last;
  for (const json::value& each : messages->as_array()) {
    if (!each.is_object()) continue;
    if (auto printed = print(each.as_object()); !printed) {
      return std::unexpected(std::move(printed.error()));
    }
    if (const json::value* seq = each.as_object().if_contains("seq")) {
      last = seq->to_number<std::uint64_t>();
    }
  }
  if (last == 0 || !options.acknowledge) return last;
  const json::object body{{"up_to", last}};
  auto done = client.call("POST", "/v1/messages/ack", &body);
  if (!done) return std::unexpected(std::move(done.error()));
  return last;
}

}  // namespace

int message_register(const MessageOptions& options) {
  constexpr std::size_t kKeyBytes = 32;
  auto client = MessageClient::create(options.server);
  if (!client) return failed(client.error());
  std::string key = options.identity_key;
  if (key.empty()) {
    auto random = services::crypto_random(kKeyBytes);
    if (!random) return failed(random.error());
    key = services::base64_of(*random);
  }
  const json::object body{
      {"username", options.user}, {"password", options.password}, {"identity_key", key}};
  const auto made = (*client)->call("POST", "/v1/accounts", &body);
  if (!made) return failed(made.error());
  return print_and_end(*made);
}

int message_send(const MessageOptions& options) {
  auto client = logged_in(options);
  if (!client) return failed(client.error());
  const json::object peer{{"peer_key", options.to}};
  const auto channel = (*client)->call("POST", "/v1/channels", &peer);
  if (!channel) return failed(channel.error());
  const json::value* id = channel->if_contains("id");
  const auto message = message_of(options, id == nullptr ? json::value() : *id);
  if (!message) return failed(message.error());
  const auto sent = (*client)->call("POST", "/v1/messages", &*message);
  if (!sent) return failed(sent.error());
  return print_and_end(*sent);
}

int message_fetch(const MessageOptions& options) {
  auto client = logged_in(options);
  if (!client) return failed(client.error());
  const auto last = fetch_once(**client, options, options.after, options.wait);
  return last ? kExitOk : failed(last.error());
}

// Goes on until it is interrupted; a server that is away for a moment is asked again.
int message_tail(const MessageOptions& options) {
  constexpr int kTries = 30;
  constexpr std::chrono::seconds kPause{1};
  auto client = logged_in(options);
  if (!client) return failed(client.error());
  std::uint64_t after = options.after;
  for (int failures = 0; failures < kTries;) {
    const auto last = fetch_once(**client, options, after, "20s");
    if (last) {
      after = std::max(after, *last);
      failures = 0;
      continue;
    }
    const ErrorKind kind = last.error().kind;
    if (kind == ErrorKind::kInvalidArgument || kind == ErrorKind::kIo) return failed(last.error());
    if (failures++ == 0) static_cast<void>(failed(last.error()));
    std::this_thread::sleep_for(kPause);
  }
  return kExitFailed;
}

}  // namespace heddle::cli
