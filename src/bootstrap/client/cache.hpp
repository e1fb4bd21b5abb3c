/// The last good status documents, kept on disk so that a node can join while no boot URL answers.
#pragma once

#include "bootstrap/status/document.hpp"

#include <pyrsia/result.hpp>
#include <pyrsia/time.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace pyrsia::bootstrap {

/// Most bytes of a cache file; more is not one of ours.
inline constexpr std::size_t kMaxCacheBytes = 1024 * 1024;
/// Most documents in a cache file.
inline constexpr std::size_t kMaxCachedDocuments = 16;

/// One document and where it is from.
struct CachedDocument {
  std::string url;
  WallTime fetched_at{};  ///< Whole seconds are kept.
  StatusDocument document;

  bool operator==(const CachedDocument&) const = default;
};

/// JSON, schema "pyrsia.bootstrap/1". At most kMaxCachedDocuments, the first ones.
std::string write_cache(const std::vector<CachedDocument>& documents);
/// Documents in it that are no good are left out. Errors: `Errc::too_large`, `Errc::malformed`.
Result<std::vector<CachedDocument>> read_cache(std::string_view text);

/// The whole file. Blocks. Errors: `Errc::not_found`, `Errc::permission_denied`,
/// `Errc::too_large` (over kMaxCacheBytes), `Errc::io_failed`.
Result<std::string> load_file(const std::filesystem::path& file);
/// Puts `text` in place of the file in one step, mode 0600; directories are made. On failure the
/// old file stays as it was. Blocks.
/// Errors: `Errc::permission_denied`, `Errc::disk_full`, `Errc::io_failed`.
Result<> replace_file(const std::filesystem::path& file, std::string_view text);

}  // namespace pyrsia::bootstrap
