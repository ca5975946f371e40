// The child process of a plugin with `isolation: process`: loads the shared object, makes the calls
// that the server asks for, one after the other, and ends with the server.
#pragma once

namespace heddle::native_hook {

// The whole of `heddle run-native-hook`; `arguments` are the program's. Returns its exit status.
int run_child(int count, char** arguments);

}  // namespace heddle::native_hook
