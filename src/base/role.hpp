#pragma once

namespace pyrsia {

/// Which side of a connection we are. One flag for multistream-select, security and muxer:
/// set by who dialed, except where DCUtR says otherwise.
enum class Role { initiator, responder };

}  // namespace pyrsia
