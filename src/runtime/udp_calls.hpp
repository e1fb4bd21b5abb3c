/// Many messages a system call, or one each where the system knows no better.
#pragma once

#include <sys/socket.h>

#include <span>

namespace pyrsia {

/// sendmmsg(2) and recvmmsg(2) of one socket; where a sandbox has not got them, sendmsg(2) and
/// recvmsg(2) from then on.
class UdpCalls {
 public:
  /// How many were sent, or -1 and errno, which is about the first.
  int send(int socket, std::span<mmsghdr> messages);
  /// How many were received, or -1 and errno. Does not wait.
  int receive(int socket, std::span<mmsghdr> messages);

 private:
  bool may_send_many_ = true;
  bool may_receive_many_ = true;
};

}  // namespace pyrsia
