#include "messaging/openapi.h"

#include <boost/json.hpp>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "base/json_write.h"

namespace heddle::messaging {
namespace {

namespace json = boost::json;
using Members = std::initializer_list<std::pair<std::string_view, json::object>>;

json::object text(std::string_view description) {
  return {{"type", "string"}, {"description", description}};
}
json::object number(std::string_view description) {
  return {{"type", "integer"}, {"minimum", 0}, {"description", description}};
}
json::object flag(std::string_view description) {
  return {{"type", "boolean"}, {"description", description}};
}
json::object base64(std::string_view description) {
  return {{"type", "string"}, {"contentEncoding", "base64"}, {"description", description}};
}
json::object list_of(json::object items) {
  return {{"type", "array"}, {"items", std::move(items)}};
}
json::object schema(std::string_view name) {
  return {{"$ref", "#/components/schemas/" + std::string(name)}};
}

json::object object_of(Members members, std::initializer_list<std::string_view> required) {
  json::object properties;
  for (const auto& [name, value] : members) properties[name] = value;
  json::array names;
  for (const std::string_view name : required) names.emplace_back(name);
  json::object out{{"type", "object"}, {"properties", std::move(properties)}};
  if (!names.empty()) out["required"] = std::move(names);
  return out;
}

json::object content(json::object body) {
  return {{"application/json", {{"schema", std::move(body)}}}};
}

json::object answer(std::string_view description, json::object body) {
  return {{"description", description}, {"content", content(std::move(body))}};
}

struct Operation {
  std::string_view id;
  std::string_view summary;
  json::object request;    // empty: no body
  json::array parameters;  // of the query
  json::object responses;
  bool open = false;  // without a token
};

json::object describe(Operation operation) {
  json::object out{{"operationId", operation.id}, {"summary", operation.summary}};
  if (!operation.request.empty()) {
    out["requestBody"] = {{"required", true}, {"content", content(std::move(operation.request))}};
  }
  if (!operation.parameters.empty()) out["parameters"] = std::move(operation.parameters);
  operation.responses["default"] =
      answer("An error; docs/messaging.md lists the codes.", schema("Error"));
  out["responses"] = std::move(operation.responses);
  if (operation.open) out["security"] = json::array{};
  return out;
}

json::object query(std::string_view name, json::object what) {
  return {{"name", name}, {"in", "query"}, {"schema", std::move(what)}};
}

json::object schemas() {
  const json::object message = object_of(
      {{"recipient_key", base64("Identity key of the recipient.")},
       {"channel_id", text("Of the channel that both are in; hex.")},
       {"text", text("UTF-8; this or payload.")},
       {"payload", base64("Opaque bytes, usually encrypted.")},
       {"involved_files", list_of(text("Name of a file."))},
       {"sealed", flag("Keeps the sender's identity out of the message, the store and the hooks.")},
       {"client_message_id", text("Unique for each sender; makes a repeat safe.")}},
      {"recipient_key", "channel_id"});
  const json::object stored = object_of({{"id", number("Of the message.")},
                                         {"seq", number("Counts for each recipient from 1.")},
                                         {"channel_id", text("Hex.")},
                                         {"sender_key", base64("null of a sealed sender.")},
                                         {"text", text("Or payload.")},
                                         {"payload", base64("Or text.")},
                                         {"involved_files", list_of(text("Name of a file."))},
                                         {"sent_at", text("RFC 3339, UTC.")}},
                                        {"id", "seq", "channel_id", "sent_at"});
  const json::object receipt = object_of(
      {{"id", number("Of the message.")}, {"seq", number("Of the recipient.")}}, {"id", "seq"});
  const json::object error =
      object_of({{"error", object_of({{"code", text("For programs.")},
                                      {"message", text("For people.")},
                                      {"plugin", text("Which one blocked the message.")}},
                                     {"code", "message"})}},
                {"error"});
  return {{"Message", message}, {"StoredMessage", stored}, {"Receipt", receipt}, {"Error", error}};
}

json::object account_paths() {
  const json::object login =
      object_of({{"username", text("1 to 64 letters, digits, '.', '-', '_'.")},
                 {"password", text("8 to 1024 bytes.")}},
                {"username", "password"});
  json::object registration = login;
  registration["properties"].as_object()["identity_key"] = base64("Ed25519, 32 bytes.");
  registration["required"].as_array().emplace_back("identity_key");
  const json::object account = object_of(
      {{"id", number("Of the account.")}, {"username", text("")}, {"identity_key", base64("")}},
      {});
  const json::object token =
      object_of({{"token", text("For Authorization: Bearer.")}, {"expires_at", text("RFC 3339.")}},
                {"token", "expires_at"});
  return {
      {"/v1/accounts",
       {{"post", describe({.id = "register",
                           .summary = "Make an account.",
                           .request = registration,
                           .parameters = {},
                           .responses = {{"201", answer("Made.", account)}},
                           .open = true})}}},
      {"/v1/sessions",
       {{"post", describe({.id = "logIn",
                           .summary = "Log in.",
                           .request = login,
                           .parameters = {},
                           .responses = {{"200", answer("Logged in.", token)}},
                           .open = true})}}},
      {"/v1/sessions/current",
       {{"delete", describe({.id = "logOut",
                             .summary = "End this login.",
                             .request = {},
                             .parameters = {},
                             .responses = {{"204", {{"description", "The token has ended."}}}}})}}},
      {"/v1/channels",
       {{"post",
         describe({.id = "openChannel",
                   .summary = "Open the channel with another account, or look it up.",
                   .request = object_of({{"peer_key", base64("Identity key.")}}, {"peer_key"}),
                   .parameters = {},
                   .responses = {{"200", answer("It was there.", schema("Channel"))},
                                 {"201", answer("It is new.", schema("Channel"))}}})}}}};
}

json::object message_paths() {
  const json::object batch = object_of({{"messages", list_of(schema("Message"))}}, {"messages"});
  const json::object results = object_of(
      {{"results", list_of({{"oneOf", json::array{schema("Receipt"), schema("Error")}}})}},
      {"results"});
  const json::object found =
      object_of({{"messages", list_of(schema("StoredMessage"))}}, {"messages"});
  const json::object mailbox =
      object_of({{"count", number("")}, {"first_seq", number("")}, {"last_seq", number("")}},
                {"count", "first_seq", "last_seq"});
  const json::array reading{query("after", number("Begin behind this number.")),
                            query("channel", text("Only this channel.")),
                            query("limit", number("So many at most.")),
                            query("wait", text("Wait so long for one: 20s, 500ms."))};
  json::object messages{
      {"post", describe({.id = "send",
                         .summary = "Send a message. 201 means that it is on the disk.",
                         .request = schema("Message"),
                         .parameters = {},
                         .responses = {{"201", answer("Stored.", schema("Receipt"))},
                                       {"403", answer("A plugin blocked it, or the recipient is "
                                                      "not in the channel.",
                                                      schema("Error"))}}})},
      {"get", describe({.id = "fetch",
                        .summary = "Waiting messages, in order.",
                        .request = {},
                        .parameters = reading,
                        .responses = {{"200", answer("Also when there are none.", found)}}})}};
  return {
      {"/v1/messages", std::move(messages)},
      {"/v1/messages/batch",
       {{"post",
         describe({.id = "sendBatch",
                   .summary = "Send several; each by itself.",
                   .request = batch,
                   .parameters = {},
                   .responses = {{"200", answer("In the order of the request.", results)}}})}}},
      {"/v1/messages/peek",
       {{"get", describe({.id = "peek",
                          .summary = "What waits, without fetching it.",
                          .request = {},
                          .parameters = {},
                          .responses = {{"200", answer("", mailbox)}}})}}},
      {"/v1/messages/ack",
       {{"post", describe({.id = "acknowledge",
                           .summary = "Delete what was read.",
                           .request = object_of({{"up_to", number("This number and all before.")}},
                                                {"up_to"}),
                           .parameters = {},
                           .responses = {{"200", answer("How many went.",
                                                        object_of({{"acknowledged", number("")}},
                                                                  {"acknowledged"}))}}})}}},
      {"/v1/stream",
       {{"get", describe({.id = "stream",
                          .summary = "A WebSocket that pushes messages and takes acknowledgements.",
                          .request = {},
                          .parameters = {query("after", number("Begin behind this number."))},
                          .responses = {{"101",
                                         {{"description",
                                           "Frames of text, each a JSON object "
                                           "with a type."}}}}})}}}};
}

std::string make() {
  json::object all = schemas();
  all["Channel"] = object_of({{"id", text("Hex, 16 bytes.")},
                              {"session_id", number("Its number, as hooks see it.")},
                              {"was_new", flag("")}},
                             {"id", "session_id", "was_new"});
  json::object paths = account_paths();
  for (auto& [path, operations] : message_paths()) paths[path] = std::move(operations);
  const json::object bearer{{"type", "http"}, {"scheme", "bearer"}};
  return write_json(json::object{
      {"openapi", "3.1.0"},
      {"info", {{"title", "Heddle's message service"}, {"version", HEDDLE_VERSION}}},
      {"paths", std::move(paths)},
      {"components", {{"schemas", std::move(all)}, {"securitySchemes", {{"token", bearer}}}}},
      {"security", json::array{json::object{{"token", json::array{}}}}}});
}

}  // namespace

const std::string& openapi_document() {
  static const std::string document = make();
  return document;
}

}  // namespace heddle::messaging
