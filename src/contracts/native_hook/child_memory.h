// What the server and the child process of a plugin share, and the descriptors and arguments that
// the child is started with.
#pragma once

#include <string_view>

#include "contracts/native_hook/shared_ring.h"

namespace heddle::native_hook {

struct ChildMemory {
  RingMemory calls;    // written by the server
  RingMemory answers;  // written by the child
};

// `heddle run-native-hook NAME MEMORY_LIMIT`: how the server starts itself as such a child; nobody
// else calls it.
inline constexpr std::string_view kChildVerb = "run-native-hook";

// Open in the child, beside its standard streams.
inline constexpr int kChildMemoryFile = 3;  // of ChildMemory
inline constexpr int kChildPluginFile = 4;  // the shared object
inline constexpr int kChildBell = 5;        // an eventfd: there are answers
inline constexpr int kChildFiles = 6;       // from here on nothing is

}  // namespace heddle::native_hook
