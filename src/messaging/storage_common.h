// What all storages have in common: how files are kept, and their words for refusals.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace heddle::messaging {

// The names of a message's files as one value of a table.
std::string files_json(const std::vector<std::string>& files);  // empty for none
std::vector<std::string> files_of(const std::string& text);

Error no_account();
Error no_channel();
// The recipient's mailbox is full.
Error too_many_messages(std::uint64_t waiting);
Error too_many_bytes(std::uint64_t waiting);
// The number is not the one after the last.
Error out_of_order();

}  // namespace heddle::messaging
