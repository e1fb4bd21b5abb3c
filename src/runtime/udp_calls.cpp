#include "runtime/udp_calls.hpp"

#include <sys/types.h>

#include <cerrno>

namespace pyrsia {
namespace {

/// One after the other, until one fails. `call` is sendmsg() or recvmsg() of it.
template <class Call>
int one_by_one(std::span<mmsghdr> messages, Call call) {
  int count = 0;
  for (auto& message : messages) {
    const ssize_t size = call(message.msg_hdr);
    if (size < 0) return count > 0 ? count : -1;
    message.msg_len = static_cast<unsigned>(size);
    ++count;
  }
  return count;
}

}  // namespace

int UdpCalls::send(int socket, std::span<mmsghdr> messages) {
  if (may_send_many_) {
    const int count =
        ::sendmmsg(socket, messages.data(), static_cast<unsigned>(messages.size()), MSG_NOSIGNAL);
    if (count >= 0 || errno != ENOSYS) return count;
    may_send_many_ = false;
  }
  const auto send_one = [socket](msghdr& message) {
    return ::sendmsg(socket, &message, MSG_NOSIGNAL);
  };
  return one_by_one(messages, send_one);
}

int UdpCalls::receive(int socket, std::span<mmsghdr> messages) {
  if (may_receive_many_) {
    const int count = ::recvmmsg(socket, messages.data(), static_cast<unsigned>(messages.size()),
                                 MSG_DONTWAIT, nullptr);
    if (count >= 0 || errno != ENOSYS) return count;
    may_receive_many_ = false;
  }
  const auto receive_one = [socket](msghdr& message) {
    return ::recvmsg(socket, &message, MSG_DONTWAIT);
  };
  return one_by_one(messages, receive_one);
}

}  // namespace pyrsia
