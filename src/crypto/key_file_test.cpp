#include <pyrsia/key.hpp>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

namespace pyrsia {
namespace {

namespace fs = std::filesystem;

class KeyFile : public ::testing::Test {
 protected:
  KeyFile() {
    std::string name = (fs::temp_directory_path() / "pyrsia_key_XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~KeyFile() override { fs::remove_all(directory_); }

  fs::path path(const char* name) const { return directory_ / name; }

  static std::string content(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  static void write(const fs::path& file, const std::string& text) {
    std::ofstream(file, std::ios::binary) << text;
  }

 private:
  fs::path directory_;
};

TEST_F(KeyFile, WhatIsSavedIsLoaded) {
  const auto pair = KeyPair::generate();
  const auto file = path("a/b/key");
  ASSERT_TRUE(pair.save(file));
  EXPECT_EQ(KeyPair::load(file).value().peer_id(), pair.peer_id());
  const auto bytes = content(file);
  EXPECT_EQ(bytes.size(), 64);
  EXPECT_EQ(bytes.substr(32), as_text(pair.public_key().data()));
  EXPECT_EQ(std::distance(fs::directory_iterator(file.parent_path()), {}), 1);  // No draft left.
}

TEST_F(KeyFile, OnlyTheOwnerMayReadIt) {
  const auto file = path("key");
  ASSERT_TRUE(KeyPair::generate().save(file));
  EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_FALSE(KeyPair::is_readable_by_others(file));
  for (const auto perms : {fs::perms::others_read, fs::perms::group_read, fs::perms::group_write}) {
    fs::permissions(file, fs::perms::owner_read | perms);
    EXPECT_TRUE(KeyPair::is_readable_by_others(file));
  }
  EXPECT_FALSE(KeyPair::is_readable_by_others(path("none")));
}

TEST_F(KeyFile, IsNeverOverwritten) {
  const auto file = path("key");
  write(file, "precious");
  EXPECT_EQ(KeyPair::generate().save(file).error(), Errc::already_exists);
  EXPECT_EQ(content(file), "precious");
  fs::create_symlink(path("nowhere"), path("link"));
  EXPECT_EQ(KeyPair::generate().save(path("link")).error(), Errc::already_exists);
  EXPECT_FALSE(fs::exists(path("nowhere")));
}

TEST_F(KeyFile, AFileAmongItsDirectoriesIsNamed) {
  write(path("file"), "");
  EXPECT_EQ(KeyPair::generate().save(path("file/key")).error(), Errc::not_found);
}

TEST_F(KeyFile, OnlyEd25519IsSaved) {
  Bytes message{8, 2, 0x12, 32};
  message.resize(36, 1);
  EXPECT_EQ(KeyPair::from_protobuf(message).value().save(path("key")).error(), Errc::not_supported);
}

TEST_F(KeyFile, BadFilesAreRefusedAndKept) {
  const auto pair = KeyPair::generate();
  ASSERT_TRUE(pair.save(path("good")));
  const auto good = content(path("good"));
  auto mixed = good;
  mixed[40] = static_cast<char>(mixed[40] ^ 1);
  for (const auto& bad : {std::string(), good.substr(1), good + "x", mixed, std::string(64, '\0'),
                          std::string(100'000, 'x')}) {
    write(path("bad"), bad);
    EXPECT_EQ(KeyPair::load(path("bad")).error(), Errc::malformed) << bad.size();
    EXPECT_EQ(content(path("bad")), bad);
  }
}

TEST_F(KeyFile, WhatIsNoFileIsRefused) {
  EXPECT_EQ(KeyPair::load(path("none")).error(), Errc::not_found);
  EXPECT_EQ(KeyPair::load(path(".")).error(), Errc::malformed);
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(KeyPair::load(path("pipe")).error(), Errc::malformed);
}

}  // namespace
}  // namespace pyrsia
