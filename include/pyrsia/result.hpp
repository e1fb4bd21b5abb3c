#pragma once

#include <pyrsia/error.hpp>

#include <boost/system/result.hpp>

#include <utility>

namespace pyrsia {

/// A T, or the Error that prevented it. A Result must not be dropped.
template <class T = void>
class [[nodiscard]] Result : public boost::system::result<T> {
 public:
  using boost::system::result<T>::result;
};

/// The successful Result<>: `return ok;`, `co_return ok;`.
inline constexpr auto ok = boost::system::in_place_value;

}  // namespace pyrsia

// The project's only control-flow macros.
//   PYRSIA_TRY(expr);             on error, returns the error
//   PYRSIA_TRY(auto x, expr);     on error, returns the error; else declares x
//   PYRSIA_CO_TRY(...)            the same inside a coroutine
#define PYRSIA_TRY(...) \
  PYRSIA_TRY_PICK(__VA_ARGS__, PYRSIA_TRY_2, PYRSIA_TRY_1)(return, PYRSIA_TRY_VAR, __VA_ARGS__)
#define PYRSIA_CO_TRY(...) \
  PYRSIA_TRY_PICK(__VA_ARGS__, PYRSIA_TRY_2, PYRSIA_TRY_1)(co_return, PYRSIA_TRY_VAR, __VA_ARGS__)
#define PYRSIA_TRY_PICK(a, b, macro, ...) macro
#define PYRSIA_TRY_CAT2(a, b) a##b
#define PYRSIA_TRY_CAT(a, b) PYRSIA_TRY_CAT2(a, b)
#define PYRSIA_TRY_VAR PYRSIA_TRY_CAT(pyrsia_try_, __LINE__)
#define PYRSIA_TRY_1(ret, var, expr) \
  if (auto var = (expr); !var) ret var.error()
#define PYRSIA_TRY_2(ret, var, decl, expr) \
  auto var = (expr);                       \
  if (!var) ret var.error();               \
  decl = *std::move(var)
