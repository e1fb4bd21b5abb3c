#include "sim/packet.hpp"

namespace pyrsia::sim {

std::size_t Packet::wire_bytes() const {
  const std::size_t ip_header = from.ip.is_v6() ? 40 : 20;
  const std::size_t transport_header = protocol == Protocol::tcp ? 20 : 8;
  return ip_header + transport_header + payload.size();
}

std::string Packet::to_string() const {
  std::string text = protocol == Protocol::tcp ? "tcp " : "udp ";
  text += from.to_string() + " > " + to.to_string();
  if (syn) text += " SYN";
  if (ack) text += " ACK";
  if (fin) text += " FIN";
  if (rst) text += " RST";
  if (ecn != 0) text += ecn == 3 ? " CE" : " ECT";
  return text + " " + std::to_string(sequence) + "+" + std::to_string(payload.size());
}

Packet refusal(const Packet& packet) {
  Packet answer;
  answer.protocol = Protocol::tcp;
  answer.from = packet.to;
  answer.to = packet.from;
  answer.rst = true;
  answer.to_connection = packet.from_connection;
  return answer;
}

}  // namespace pyrsia::sim
