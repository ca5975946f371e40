// A loaded shared object that has filled its HookVTable. Owns both: destroys the plugin once and
// unloads the code.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "contracts/native_hook/slots.h"
#include "heddle/abi/qpc_plugin.h"
#include "net/socket.h"

namespace heddle::native_hook {

class SharedObject {
 public:
  // Loads a private copy of the file's bytes, so that a file that is replaced or loaded twice is
  // another library, and calls qpc_plugin_init with a zeroed table. Errors say what is wrong: no
  // shared object for this machine, an unresolved symbol, no qpc_plugin_init, the number that it
  // returned, a table that is longer than ours. `name` names the copy for debuggers.
  static Result<std::unique_ptr<SharedObject>> load(std::span<const std::byte> file,
                                                    std::string_view name);
  // on_shutdown unless it was called, destroy, unload. What init refused to start is unloaded only.
  ~SharedObject();
  SharedObject(const SharedObject&) = delete;
  SharedObject& operator=(const SharedObject&) = delete;

  const HookVTable& table() const { return table_; }
  const SlotSet& slots() const { return slots_; }
  // on_shutdown, once; not together with another call of this function.
  void shut_down();

 private:
  SharedObject() = default;
  Result<void> initialize();
  void fill_slots();
  std::string path() const;

  // Open as long as the code is loaded: the linker takes a library by its path, and a number that
  // is given anew would name the library that had it before.
  net::Fd copy_;
  void* handle_ = nullptr;
  HookVTable table_{};
  SlotSet slots_{};
  bool started_ = false;
  bool shut_down_ = false;
};

}  // namespace heddle::native_hook
