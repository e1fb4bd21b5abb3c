#include "nat/stun/stream_client.hpp"

#include "nat/stun/builder.hpp"
#include "nat/stun/numbers.hpp"
#include "sim/two_hosts.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace pyrsia::stun {
namespace {

using namespace std::chrono_literals;
using sim::at;

const Endpoint kServer = at("5.6.7.8", 3478);
const Endpoint kSeen = at("9.9.9.9", 40000);

/// What a server makes of a request. Then it closes its side, or is silent.
struct Behaviour {
  std::function<Bytes(const Header&)> answer;
  bool closes = false;
  Duration pause_between_bytes{0};
};

Bytes message(Header header, MessageClass message_class, const std::function<void(Builder&)>& add) {
  header.message_class = message_class;
  Bytes out(512);
  Builder builder(out, header);
  add(builder);
  out.resize(builder.bytes().size());
  return out;
}

Bytes success(const Header& request) {
  return message(request, MessageClass::success, [](Builder& builder) {
    builder.add_xor_address(AttributeType::xor_mapped_address, kSeen);
  });
}

Task<> serve_one(Env& env, TcpSocket& socket, const Behaviour& behaviour) {
  std::array<std::uint8_t, kHeaderBytes> request{};
  PYRSIA_CO_TRY(co_await read_exactly(socket, request));
  PYRSIA_CO_TRY(const auto asked, Message::parse(request));
  const auto answer = behaviour.answer(asked.header());
  if (behaviour.pause_between_bytes == Duration(0)) {
    PYRSIA_CO_TRY(co_await socket.write_all(answer));
  } else {
    for (const auto& byte : answer) {
      PYRSIA_CO_TRY(co_await socket.write_all(BytesView(&byte, 1)));
      PYRSIA_CO_TRY(co_await env.sleep_for(behaviour.pause_between_bytes));
    }
  }
  if (behaviour.closes) PYRSIA_CO_TRY(co_await socket.close_write());
  // Until the client has had enough.
  for (;;) {
    PYRSIA_CO_TRY(const auto size, co_await socket.read_some(request));
    if (size == 0) co_return ok;
  }
}

Task<> serve(Env& env, TcpListener& listener, Behaviour behaviour) {
  for (;;) {
    PYRSIA_CO_TRY(const auto socket, co_await listener.accept());
    (void)co_await serve_one(env, *socket, behaviour);
  }
}

struct Asked : sim::TwoHosts {
  explicit Asked(Behaviour behaviour) {
    at_port = b.tcp_listen(kServer, TcpListenOptions{}).value();
    servers.spawn(serve(b, *at_port, std::move(behaviour)));
  }
  ~Asked() {
    servers.cancel();
    (void)world.run(servers.join());
  }
  Result<Response> ask() { return std::get<0>(world.run(ask_over_tcp(a, kServer, {}))); }

  std::unique_ptr<TcpListener> at_port;
  TaskGroup servers{b};
};

Result<Response> answer_to(std::function<Bytes(const Header&)> answer) {
  Asked asked({std::move(answer)});
  const auto response = asked.ask();
  // Nothing to wait for: connecting and asking take a round trip each, a broken answer no more.
  EXPECT_LE(asked.a.now() - TimePoint(), 300ms);
  return response;
}

TEST(StunStreamClient, TakesAnAnswerInAnyPieces) {
  for (const auto pause : {Duration(0), Duration(10ms)}) {
    Asked asked({success, false, pause});
    const auto response = asked.ask();
    ASSERT_TRUE(response) << response.error();
    EXPECT_EQ(response->mapped, kSeen);
    EXPECT_EQ(response->from, kServer);
    EXPECT_EQ(response->transmissions, 1);
  }
}

TEST(StunStreamClient, AnErrorResponseIsAnAnswer) {
  const auto response = answer_to([](const Header& request) {
    return message(request, MessageClass::error,
                   [](Builder& builder) { builder.add_error_code(500, "Try\nagain"); });
  });
  ASSERT_TRUE(response);
  EXPECT_EQ(response->error, 500);
  EXPECT_EQ(response->reason, "Try?again");
}

TEST(StunStreamClient, AnotherTransactionOrNoResponseBreaksTheProtocol) {
  const auto other_id = answer_to([](Header request) {
    request.transaction[11] ^= 1;
    return success(request);
  });
  EXPECT_EQ(other_id.error(), Errc::protocol_violation);
  const auto echo = answer_to([](const Header& request) {
    return message(request, MessageClass::request, [](Builder&) {});
  });
  EXPECT_EQ(echo.error(), Errc::protocol_violation);
  const auto other_method = answer_to([](Header request) {
    request.method = static_cast<Method>(3);
    return success(request);
  });
  EXPECT_EQ(other_method.error(), Errc::protocol_violation);
}

TEST(StunStreamClient, WhatMustBeUnderstoodAndIsNotEndsIt) {
  const auto response = answer_to([](const Header& request) {
    return message(request, MessageClass::success, [](Builder& builder) {
      builder.add_xor_address(AttributeType::xor_mapped_address, kSeen);
      builder.add_u32(static_cast<AttributeType>(0x7abc), 1);
    });
  });
  EXPECT_EQ(response.error(), Errc::not_supported);
}

TEST(StunStreamClient, AnImpossibleOrMissingAddressIsMalformed) {
  const auto nowhere = answer_to([](const Header& request) {
    return message(request, MessageClass::success, [](Builder& builder) {
      builder.add_xor_address(AttributeType::xor_mapped_address, at("9.9.9.9", 0));
    });
  });
  EXPECT_EQ(nowhere.error(), Errc::malformed);
  const auto empty = answer_to([](const Header& request) {
    return message(request, MessageClass::success, [](Builder&) {});
  });
  EXPECT_EQ(empty.error(), Errc::malformed);
}

TEST(StunStreamClient, ALengthThatNoAnswerHasIsNotWaitedFor) {
  const auto with_length = [](std::uint16_t length) {
    return answer_to([length](const Header& request) {
      auto bytes = success(request);
      write_u16(&bytes[2], length);
      return bytes;
    });
  };
  EXPECT_EQ(with_length(0xfffc).error(), Errc::too_large);
  EXPECT_EQ(with_length(kMaxMessageBytes).error(), Errc::too_large);
  EXPECT_EQ(with_length(13).error(), Errc::malformed);
  // Shorter than its attribute.
  EXPECT_EQ(with_length(8).error(), Errc::malformed);
}

TEST(StunStreamClient, SomethingElseThanStunIsMalformed) {
  const auto web = answer_to([](const Header&) {
    const auto text = as_bytes("HTTP/1.1 400 Bad Request\r\n\r\n");
    return Bytes(text.begin(), text.end());
  });
  EXPECT_EQ(web.error(), Errc::malformed);
  const auto endless = answer_to([](const Header&) { return Bytes(1 << 20, 0x01); });
  EXPECT_EQ(endless.error(), Errc::malformed);
  const auto legacy = answer_to([](Header request) {
    request.cookie = 1;
    return success(request);
  });
  EXPECT_EQ(legacy.error(), Errc::malformed);
}

TEST(StunStreamClient, AConnectionThatEndsBeforeTheAnswerDoesIsClosed) {
  for (const std::size_t size : {0U, 1U, 19U, 20U, 31U}) {
    Asked asked({[size](const Header& request) {
                   auto bytes = success(request);
                   bytes.resize(size);
                   return bytes;
                 },
                 true});
    EXPECT_EQ(asked.ask().error(), Errc::closed) << size;
  }
}

TEST(StunStreamClient, SilenceInsideOfAnAnswerCostsTiAndNoMore) {
  EXPECT_EQ(kTi, RetransmitPlan().total());
  for (const std::size_t size : {0U, 1U, 20U, 31U}) {
    Asked asked({[size](const Header& request) {
      auto bytes = success(request);
      bytes.resize(size);
      return bytes;
    }});
    const auto start = asked.a.now();
    EXPECT_EQ(asked.ask().error(), Errc::timed_out) << size;
    EXPECT_EQ(asked.a.now() - start, kTi) << size;
  }
}

TEST(StunStreamClient, ABytePerSecondCostsTiAndNoMore) {
  Asked asked({[](const Header& request) {
                 return message(request, MessageClass::success,
                                [](Builder& builder) { builder.add_padding(400); });
               },
               false, 1s});
  const auto start = asked.a.now();
  EXPECT_EQ(asked.ask().error(), Errc::timed_out);
  EXPECT_EQ(asked.a.now() - start, kTi);
}

TEST(StunStreamClient, ASecondAnswerIsNoAnswerToTheNextQuestion) {
  const auto twice = [](const Header& request) {
    auto bytes = success(request);
    const auto again = success(request);
    bytes.insert(bytes.end(), again.begin(), again.end());
    return bytes;
  };
  Asked once({twice});
  EXPECT_EQ(once.ask()->mapped, kSeen);

  struct Again {
    static Task<Response> ask(Env& env) {
      PYRSIA_CO_TRY(auto socket, co_await sim::dial(env, kServer));
      PYRSIA_CO_TRY(co_await ask_stream(*socket, kServer, random_transaction(env)));
      co_return co_await ask_stream(*socket, kServer, random_transaction(env));
    }
  };
  Asked again({twice});
  EXPECT_EQ(std::get<0>(again.world.run(Again::ask(again.a))).error(), Errc::protocol_violation);
}

TEST(StunStreamClient, NobodyThereIsRefused) {
  sim::TwoHosts hosts;
  const auto [response] = hosts.world.run(ask_over_tcp(hosts.a, kServer, {}));
  EXPECT_EQ(response.error(), Errc::refused);
}

TEST(StunStreamClient, AHandshakeThatNeverEndsCostsTheLimit) {
  struct Stuck {
    static Task<std::unique_ptr<Stream>> shake_hands(std::unique_ptr<Stream> stream) {
      Bytes word(1);
      PYRSIA_CO_TRY(co_await read_exactly(*stream, word));
      co_return stream;
    }
  };
  Asked asked({success});
  const auto start = asked.a.now();
  const auto [response] = asked.world.run(ask_over_tcp(asked.a, kServer, Stuck::shake_hands, 2s));
  EXPECT_EQ(response.error(), Errc::timed_out);
  EXPECT_EQ(asked.a.now() - start, 2s);
}

}  // namespace
}  // namespace pyrsia::stun
