#include "commands.hpp"
#include "identity.hpp"

#include <boost/json.hpp>

namespace pyrsia::app {

ExitCode run_id(const Options& options) {
  auto identity = options.is_new_key ? make_identity(options.key_file)
                                     : load_or_make_identity(options.key_file);
  if (!identity.complaint && !identity.warning.empty()) {
    // Here the key is the whole purpose: one that ends with the program is none.
    identity.complaint = Complaint{ExitCode::try_later, identity.warning};
  }
  if (identity.complaint) {
    complain(*identity.complaint);
    return identity.complaint->code;
  }
  const auto id = identity.key->peer_id().to_string();
  if (!options.is_json) return print(id + "\n");
  boost::json::object out;
  out["schema"] = "pyrsia.id/1";
  out["peer_id"] = id;
  out["key_file"] = options.key_file.string();
  out["is_new"] = identity.is_new;
  return print(boost::json::serialize(out) + "\n");
}

}  // namespace pyrsia::app
