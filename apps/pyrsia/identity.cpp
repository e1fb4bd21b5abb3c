#include "identity.hpp"

#include "base/in_words.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

namespace pyrsia::app {
namespace {

constexpr std::size_t kKeyFileBytes = 64;

Identity refuse(std::string text) {
  Identity identity;
  identity.complaint = Complaint{ExitCode::bad_config, std::move(text)};
  return identity;
}

Identity refuse(const std::filesystem::path& file, const Error& error) {
  const auto name = file.string();
  if (error == Errc::permission_denied) {
    return refuse(fmt::format("key file {}: permission denied", name));
  }
  std::error_code failed;
  const auto size = std::filesystem::file_size(file, failed);
  if (error == Errc::malformed && !failed && size != kKeyFileBytes) {
    return refuse(fmt::format("key file {} is {} bytes long, not {}: it is left as it is", name,
                              size, kKeyFileBytes));
  }
  if (error == Errc::malformed) {
    return refuse(fmt::format(
        "key file {} is damaged (its public half does not belong to its secret half): it is left "
        "as it is",
        name));
  }
  if (error == Errc::not_found) {
    return refuse(fmt::format("key file {}: its directory is not there and cannot be made", name));
  }
  return refuse(fmt::format("key file {} cannot be used: {}", name, in_words(error)));
}

}  // namespace

Identity make_identity(const std::filesystem::path& file) {
  Identity identity;
  identity.key = KeyPair::generate();
  identity.is_new = true;
  const auto saved = identity.key->save(file);
  if (saved) return identity;
  if (saved.error() == Errc::already_exists) {
    std::error_code ignored;
    const bool is_link_to_nothing = !std::filesystem::exists(file, ignored);
    return refuse(fmt::format("key file {} {}", file.string(),
                              is_link_to_nothing ? "is a link to a file that is not there"
                                                 : "exists and is not overwritten"));
  }
  if (saved.error() == Errc::disk_full) {
    identity.warning = fmt::format(
        "the disk is full: key file {} cannot be written, so this peer id ends with the program",
        file.string());
    return identity;
  }
  return refuse(file, saved.error());
}

Identity load_or_make_identity(const std::filesystem::path& file) {
  struct stat info{};
  if (::stat(file.c_str(), &info) == 0) {
    if (!S_ISREG(info.st_mode)) {
      return refuse(fmt::format("key file {} is not a file", file.string()));
    }
    if (KeyPair::is_readable_by_others(file)) {
      return refuse(
          fmt::format("key file {0} can be read or changed by others (mode {1:04o}): chmod 600 {0}",
                      file.string(), info.st_mode & 07777));
    }
  }
  auto loaded = KeyPair::load(file);
  if (!loaded && loaded.error() == Errc::not_found) return make_identity(file);
  if (!loaded) return refuse(file, loaded.error());
  Identity identity;
  identity.key = *std::move(loaded);
  return identity;
}

}  // namespace pyrsia::app
