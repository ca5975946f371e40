// What an embedding program offers to plugins beyond their ABI: functions by name (Proxy-Wasm
// proxy_call_foreign_function). Filled before the contracts are made, and then only read; a plugin
// calls one when its `permissions.foreign_functions` lists the name.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace heddle::extension {

// The way back to the plugin instance that called, for a function that completes later. Any thread,
// any number of times; an instance that is gone hears nothing.
class ForeignReply {
 public:
  virtual ~ForeignReply() = default;
  // Calls proxy_on_foreign_function(root context, the function's id, size of `bytes`) on the
  // plugin's worker; the plugin reads the bytes from buffer 8.
  virtual void send(std::string bytes) = 0;
};

struct ForeignCall {
  std::string_view plugin;     // its name
  std::string_view arguments;  // as the plugin passed them; gone when the function returns
  std::shared_ptr<ForeignReply> reply;
};

// Gives the result's bytes. Runs on a worker within the plugin's call, so it must not block, and on
// several workers at once. An error reaches the plugin as a status (kInvalidArgument: BAD_ARGUMENT;
// kNotFound: NOT_FOUND; any other: INTERNAL_FAILURE) and the log with its text.
using ForeignFunction = std::function<Result<std::string>(const ForeignCall&)>;

class ForeignFunctions {
 public:
  struct Entry {
    std::uint32_t id = 0;  // what proxy_on_foreign_function names it by
    ForeignFunction function;
  };

  // A name given twice: the last function counts. Built-in functions cannot be replaced.
  void add(std::string name, std::uint32_t id, ForeignFunction function) {
    entries_.insert_or_assign(std::move(name), Entry{id, std::move(function)});
  }
  // Null when there is none.
  const Entry* find(std::string_view name) const {
    const auto found = entries_.find(name);
    return found == entries_.end() ? nullptr : &found->second;
  }

 private:
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace heddle::extension
