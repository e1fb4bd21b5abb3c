#include <pyrsia/key.hpp>

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <fstream>

namespace pyrsia {
namespace {

namespace fs = std::filesystem;

/// Lets this process make no hard links, as on a file system that has none: they end with EPERM.
bool forbid_links() {
  constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
  constexpr std::uint32_t kRefuse = SECCOMP_RET_ERRNO | EPERM;
#ifdef SYS_link
  constexpr std::uint32_t kLink = SYS_link;
#else
  constexpr std::uint32_t kLink = SYS_linkat;
#endif
  std::array<sock_filter, 5> program{
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kLink, 1, 0),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_linkat, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, kRefuse),
      sock_filter BPF_STMT(BPF_RET | BPF_K, kAllow)};
  sock_fprog filter{program.size(), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

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

TEST_F(KeyFile, IsSavedWithoutHardLinksTooAndNeverOverwritten) {
  const auto pair = KeyPair::generate();
  write(path("taken"), "precious");
  const auto child = ::fork();
  if (child == 0) {
    if (!forbid_links() || ::link(path("taken").c_str(), path("l").c_str()) == 0) ::_exit(1);
    if (!pair.save(path("key"))) ::_exit(2);
    ::_exit(pair.save(path("taken")) == Result<>(Errc::already_exists) ? 0 : 3);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(KeyPair::load(path("key")).value().peer_id(), pair.peer_id());
  EXPECT_EQ(content(path("taken")), "precious");
  EXPECT_EQ(std::distance(fs::directory_iterator(path("")), {}), 2);  // No draft left.
}

TEST_F(KeyFile, HalfAKeyIsNotLeft) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit half{32, before.rlim_max};
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &half), 0);
  const auto saved = KeyPair::generate().save(path("key"));
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(saved.error(), Errc::io_failed);
  EXPECT_TRUE(fs::is_empty(path("")));
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
