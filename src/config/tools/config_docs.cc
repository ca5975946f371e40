// Writes the reference and the JSON Schema of the configuration into a folder: heddle_config_docs
// docs
#include <fstream>
#include <iostream>
#include <string>

#include "config/reader.h"

namespace {

bool write(const std::string& path, const std::string& text) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream << text;
  stream.close();
  if (stream) return true;
  std::cerr << path << " cannot be written\n";
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: heddle_config_docs FOLDER\n";
    return 2;
  }
  const std::string folder = argv[1];
  const bool written = write(folder + "/configuration.md", heddle::config::markdown_reference()) &&
                       write(folder + "/configuration.schema.json", heddle::config::json_schema());
  return written ? 0 : 1;
}
