#pragma once

#include <string>

namespace pyrsia {

/// `text` of a peer, fit to be shown: bytes that are no printable ASCII become question marks, so
/// that it can neither steer a terminal nor spoil JSON.
inline std::string printable(std::string text) {
  for (auto& letter : text)
    if (letter < 0x20 || letter > 0x7e) letter = '?';
  return text;
}

}  // namespace pyrsia
