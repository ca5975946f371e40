// For the tests of this folder: the program that runs a plugin as a child process.
#include "contracts/native_hook/child_main.h"

int main(int argc, char** argv) {
  return heddle::native_hook::run_child(argc, argv);
}
