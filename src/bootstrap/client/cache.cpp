#include "bootstrap/client/cache.hpp"

#include <boost/json.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace pyrsia::bootstrap {
namespace {

namespace json = boost::json;

constexpr std::string_view kSchema = "pyrsia.bootstrap/1";

Errc file_error(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR: return Errc::not_found;
    case EACCES:
    case EPERM:
    case EROFS: return Errc::permission_denied;
    case ENOSPC:
    case EDQUOT: return Errc::disk_full;
    default: return Errc::io_failed;
  }
}

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  int descriptor() const { return descriptor_; }
  /// 0, or errno: the last write errors of a full disk may come only here.
  int close() {
    const int descriptor = std::exchange(descriptor_, -1);
    return ::close(descriptor) == 0 ? 0 : errno;
  }

 private:
  int descriptor_;
};

/// 0, or errno.
int write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const auto written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return ::fsync(descriptor) == 0 ? 0 : errno;
}

std::optional<CachedDocument> read_entry(const json::value& value) {
  const auto* entry = value.if_object();
  if (entry == nullptr) return std::nullopt;
  const auto* url = entry->if_contains("url");
  const auto* fetched = entry->if_contains("fetched_at");
  const auto* document = entry->if_contains("document");
  const bool is_whole = url != nullptr && url->is_string() && fetched != nullptr &&
                        fetched->is_int64() && document != nullptr;
  // The widest time that nanoseconds can hold is the year 2262.
  constexpr std::int64_t kLatest = 9'000'000'000;
  if (!is_whole || fetched->get_int64() < 0 || fetched->get_int64() > kLatest) return std::nullopt;
  std::vector<std::string> problems;
  auto read = read_status(json::serialize(*document), problems);
  if (!read) return std::nullopt;
  return CachedDocument{std::string(url->get_string()),
                        WallTime(std::chrono::seconds(fetched->get_int64())), *std::move(read)};
}

}  // namespace

std::string write_cache(const std::vector<CachedDocument>& documents) {
  using std::chrono::duration_cast, std::chrono::seconds;
  std::string out = R"({"schema":")" + std::string(kSchema) + R"(","documents":[)";
  const auto count = std::min(documents.size(), kMaxCachedDocuments);
  for (std::size_t i = 0; i < count; ++i) {
    const auto& entry = documents[i];
    const auto fetched = duration_cast<seconds>(entry.fetched_at.time_since_epoch()).count();
    out += (i > 0 ? R"(,{"url":)" : R"({"url":)") + json::serialize(entry.url) +
           R"(,"fetched_at":)" + std::to_string(fetched) + R"(,"document":)" +
           write_status(entry.document) + "}";
  }
  return out + "]}";
}

Result<std::vector<CachedDocument>> read_cache(std::string_view text) {
  if (text.size() > kMaxCacheBytes) return Errc::too_large;
  json::error_code error;
  const auto root = json::parse(text, error);
  if (error || !root.is_object()) return Errc::malformed;
  const auto* schema = root.get_object().if_contains("schema");
  const auto* entries = root.get_object().if_contains("documents");
  if (schema == nullptr || !schema->is_string() || schema->get_string() != kSchema ||
      entries == nullptr || !entries->is_array()) {
    return Errc::malformed;
  }
  std::vector<CachedDocument> documents;
  for (const auto& value : entries->get_array()) {
    if (documents.size() == kMaxCachedDocuments) break;
    if (auto entry = read_entry(value)) documents.push_back(*std::move(entry));
  }
  return documents;
}

Result<std::string> load_file(const std::filesystem::path& file) {
  const File opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (opened.descriptor() < 0) return file_error(errno);
  std::string text;
  char buffer[16 * 1024];
  for (;;) {
    const auto count = ::read(opened.descriptor(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return file_error(errno);
    if (count == 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
    if (text.size() > kMaxCacheBytes) return Errc::too_large;
  }
}

Result<> replace_file(const std::filesystem::path& file, std::string_view text) {
  std::error_code ignored;  // What cannot be made cannot be opened either, and that says why.
  if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path(), ignored);
  auto temporary = file;
  temporary += "." + std::to_string(::getpid()) + ".new";
  ::unlink(temporary.c_str());
  File opened(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (opened.descriptor() < 0) return file_error(errno);
  int error = write_all(opened.descriptor(), text);
  const int close_error = opened.close();
  if (error == 0) error = close_error;
  if (error == 0 && ::rename(temporary.c_str(), file.c_str()) != 0) error = errno;
  if (error == 0) return ok;
  ::unlink(temporary.c_str());
  return file_error(error);
}

}  // namespace pyrsia::bootstrap
