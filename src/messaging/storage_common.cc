#include "messaging/storage_common.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json_write.h"

namespace heddle::messaging {

std::string files_json(const std::vector<std::string>& files) {
  if (files.empty()) return {};
  boost::json::array out;
  for (const std::string& file : files) out.emplace_back(file);
  return write_json(out);
}

std::vector<std::string> files_of(const std::string& text) {
  std::vector<std::string> out;
  boost::system::error_code failed;
  const auto value = boost::json::parse(text, failed);
  if (failed || !value.is_array()) return out;
  for (const auto& item : value.as_array()) {
    if (item.is_string()) out.emplace_back(item.as_string());
  }
  return out;
}

Error no_account() {
  return {ErrorKind::kNotFound, "there is no such account"};
}

Error no_channel() {
  return {ErrorKind::kNotFound, "there is no such channel"};
}

Error too_many_messages(std::uint64_t waiting) {
  return {ErrorKind::kLimit, fmt::format("the recipient's mailbox is full: {} messages wait in it "
                                         "(messaging.mailbox_messages)",
                                         waiting)};
}

Error too_many_bytes(std::uint64_t waiting) {
  return {ErrorKind::kLimit, fmt::format("the recipient's mailbox is full: {} bytes wait in it "
                                         "(messaging.mailbox_bytes)",
                                         waiting)};
}

Error out_of_order() {
  return {ErrorKind::kUnavailable, "a message before this one could not be stored; send it again"};
}

}  // namespace heddle::messaging
