#pragma once

namespace pyrsia::crypto {

/// Makes libsodium choose its fastest code. Called before any other use of it; cheap.
void use_sodium();

}  // namespace pyrsia::crypto
