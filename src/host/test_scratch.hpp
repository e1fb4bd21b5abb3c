/// For tests: a folder that goes with the test.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace pyrsia::host {

struct Scratch {
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "pyrsia-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Scratch() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

}  // namespace pyrsia::host
