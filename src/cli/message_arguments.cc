#include "cli/message_arguments.h"

namespace heddle::cli {
namespace {

void add_caller(CLI::App& verb, MessageOptions& options) {
  verb.add_option("--server", options.server, "where the message service is")
      ->envname("HEDDLE_SERVER")
      ->capture_default_str();
  verb.add_option("--token", options.token, "of a login; instead of user and password")
      ->envname("HEDDLE_TOKEN");
  verb.add_option("--user", options.user, "name of the account")->envname("HEDDLE_USER");
  verb.add_option("--password", options.password, "of the account; better in HEDDLE_PASSWORD")
      ->envname("HEDDLE_PASSWORD");
}

void add_reading(CLI::App& verb, MessageOptions& options) {
  add_caller(verb, options);
  verb.add_option("--after", options.after, "begin behind this number");
  CLI::Option* channel =
      verb.add_option("--channel", options.channel, "only this channel (its id)");
  // A number acknowledges the whole mailbox up to it, what other channels have there too.
  verb.add_flag("--ack", options.acknowledge,
                "acknowledge what was printed: it is deleted there; of all channels only")
      ->excludes(channel);
}

}  // namespace

void add_message(CLI::App& app, MessageOptions& options) {
  CLI::App* group = app.add_subcommand("message", "the message service from a shell");
  group->require_subcommand(1);

  CLI::App* make = group->add_subcommand("register", "make an account; prints it with its key");
  add_caller(*make, options);
  make->add_option("--key", options.identity_key, "Ed25519 key of 32 bytes, base64; else random");

  CLI::App* send = group->add_subcommand("send", "send a message; prints its id and number");
  add_caller(*send, options);
  send->add_option("--to", options.to, "identity key of the recipient, base64")->required();
  send->add_option("text", options.text, "the text; - reads standard input");
  send->add_option("--payload", options.payload_file, "file of an opaque payload, instead of text");
  send->add_option("--file", options.files, "name of an involved file; may be repeated");
  send->add_option("--id", options.client_message_id, "client_message_id: makes a repeat safe");
  send->add_flag("--sealed", options.sealed, "without the sender's identity");

  CLI::App* fetch =
      group->add_subcommand("fetch", "print waiting messages, one JSON object a line");
  add_reading(*fetch, options);
  fetch->add_option("--limit", options.limit, "so many at most")->capture_default_str();
  fetch->add_option("--wait", options.wait, "wait so long for one, for example 20s");

  CLI::App* tail = group->add_subcommand("tail", "print messages as they come, until interrupted");
  add_reading(*tail, options);
}

std::optional<int> run_message(const CLI::App& app, const MessageOptions& options) {
  if (!app.got_subcommand("message")) return std::nullopt;
  const CLI::App* group = app.get_subcommand("message");
  if (group->got_subcommand("register")) return message_register(options);
  if (group->got_subcommand("send")) return message_send(options);
  if (group->got_subcommand("fetch")) return message_fetch(options);
  return message_tail(options);
}

}  // namespace heddle::cli
