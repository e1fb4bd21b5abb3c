#include "base/hex.hpp"
#include "crypto/key_secret.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

namespace pyrsia {
namespace {

constexpr std::size_t kFileBytes = 64;

/// An open file.
class File {
 public:
  File(const std::filesystem::path& path, int flags)
      : descriptor_(::open(path.c_str(), flags | O_CLOEXEC, S_IRUSR | S_IWUSR)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (is_open()) ::close(descriptor_);
  }

  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

Error error_of(int number) {
  switch (number) {
    case ENOENT:
    case ENOTDIR: return Errc::not_found;
    case EEXIST: return Errc::already_exists;
    case EACCES:
    case EPERM:
    case EROFS: return Errc::permission_denied;
    case ENOSPC:
    case EDQUOT: return Errc::disk_full;
    default: return Errc::io_failed;
  }
}

Result<std::size_t> read_all(const File& file, std::span<std::uint8_t> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const auto count = ::read(file.descriptor(), out.data() + done, out.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return error_of(errno);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

Result<> write_all(const File& file, BytesView bytes) {
  while (!bytes.empty()) {
    const auto count = ::write(file.descriptor(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return error_of(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  if (::fsync(file.descriptor()) != 0) return error_of(errno);
  return ok;
}

/// Removes a file when it goes.
class Removal {
 public:
  explicit Removal(std::filesystem::path path) : path_(std::move(path)) {}
  Removal(const Removal&) = delete;
  Removal& operator=(const Removal&) = delete;
  ~Removal() { ::unlink(path_.c_str()); }

 private:
  std::filesystem::path path_;
};

/// Gives the draft its name. Whatever has that name already is never overwritten.
Result<> give_name(const std::filesystem::path& draft, const std::filesystem::path& file) {
  if (::link(draft.c_str(), file.c_str()) == 0) return ok;
  // FAT and others have no hard links, but can rename like this, as NFS cannot.
  const bool has_links = errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS;
  if (has_links) return error_of(errno);
  if (::renameat2(AT_FDCWD, draft.c_str(), AT_FDCWD, file.c_str(), RENAME_NOREPLACE) != 0)
    return error_of(errno);
  return ok;
}

Result<> make_directories(const std::filesystem::path& directory) {
  if (directory.empty()) return ok;
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return error_of(error.value());
  return ok;
}

}  // namespace

Result<KeyPair> KeyPair::load(const std::filesystem::path& file) {
  const File opened(file, O_RDONLY | O_NONBLOCK);  // A pipe must not hold us up.
  if (!opened.is_open()) return error_of(errno);
  struct stat status{};
  if (::fstat(opened.descriptor(), &status) != 0) return error_of(errno);
  if (!S_ISREG(status.st_mode)) return Errc::malformed;
  crypto::Secret<kFileBytes + 1> bytes;
  PYRSIA_TRY(const auto size, read_all(opened, bytes));
  if (size != kFileBytes) return Errc::malformed;
  const auto view = BytesView(bytes);
  auto pair = from_seed(view.first<32>());
  if (!std::ranges::equal(pair.public_key().data(), view.subspan(32, 32))) return Errc::malformed;
  return pair;
}

Result<> KeyPair::save(const std::filesystem::path& file) const {
  if (public_key().type() != KeyType::ed25519) return Errc::not_supported;
  PYRSIA_TRY(make_directories(file.parent_path()));
  // Written under another name first, so that no half of a key ever has the right one.
  std::array<std::uint8_t, 8> random{};
  crypto::fill_random(random);
  auto draft = file;
  draft += "." + to_hex(random);
  {
    const File opened(draft, O_WRONLY | O_CREAT | O_EXCL);
    if (!opened.is_open()) return error_of(errno);
    const Removal removal(draft);
    PYRSIA_TRY(write_all(opened, secret_->bytes));
    PYRSIA_TRY(give_name(draft, file));
  }
  const auto parent = file.parent_path();
  const File directory(parent.empty() ? "." : parent, O_RDONLY | O_DIRECTORY);
  if (directory.is_open()) ::fsync(directory.descriptor());  // Best effort: the key is there.
  return ok;
}

bool KeyPair::is_readable_by_others(const std::filesystem::path& file) {
  struct stat status{};
  if (::stat(file.c_str(), &status) != 0) return false;
  return (status.st_mode & (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH)) != 0;
}

}  // namespace pyrsia
