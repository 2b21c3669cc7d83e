// SPDX-License-Identifier: MIT
#include "cli/moving/options.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "cli/text.h"

namespace kvctl {

void LoginOptions::Declare(Arguments& arguments) {
  arguments.Text("--user", "NAME", &user,
                 "log in at the other server as this user");
  arguments.Text("--password-file", "FILE", &password_file,
                 "its first line is the password for the other server "
                 "(default: $REDISCLI_AUTH)");
}

Attempt<std::unique_ptr<Peer>> LoginOptions::Connect(
    const GlobalOptions& options, const std::string& place) const {
  KVD_TRY_ASSIGN(const PeerOptions peer,
                 OtherPeer(options, place, user, password_file));
  return Peer::Connect(peer);
}

void ExistingOptions::Declare(Arguments& arguments) {
  arguments.Flag("--replace", &replace,
                 "replace keys that are there already (the default)");
  arguments.Flag("--skip-existing", &skip_existing,
                 "leave keys that are there already as they are");
  arguments.Flag("--if-empty", &if_empty, "only if there are no keys at all");
  arguments.Flag("--dry-run", &dry_run, "read everything, but only count");
}

Attempt<void> ExistingOptions::Check() const {
  if (replace + skip_existing + if_empty <= 1) return {};
  return Refuse(ExitCode::kUsage,
                "only one of --replace, --skip-existing and --if-empty");
}

Existing ExistingOptions::choice() const {
  if (dry_run) return Existing::kCount;
  return skip_existing ? Existing::kSkip : Existing::kReplace;
}

Attempt<void> ExistingOptions::CheckEmpty(
    Peer* peer, const std::optional<std::string>& resume_file) const {
  if (!if_empty) return {};
  std::error_code ignored;
  if (resume_file && std::filesystem::exists(*resume_file, ignored)) return {};
  KVD_TRY_ASSIGN(const auto counts, peer->CountKeys());
  if (counts.empty()) return {};
  const auto& [database, keys] = *counts.begin();
  return Refuse(ExitCode::kNegative,
                "{} is not empty (database {} has {}); nothing was written",
                peer->name(), database,
                keys == 1 ? "1 key" : Grouped(keys) + " keys");
}

Attempt<std::unique_ptr<Peer>> ConnectOwn(const GlobalOptions& options) {
  KVD_TRY_ASSIGN(const PeerOptions peer, OwnPeer(options));
  return Peer::Connect(peer);
}

Attempt<KeySelection> SelectKeys(const std::optional<std::string>& pattern,
                                 const std::optional<std::string>& prefix,
                                 const GlobalOptions& options) {
  if (pattern && prefix) {
    return Refuse(ExitCode::kUsage, "either a pattern or --prefix");
  }
  KeySelection selection = {.database = options.db};
  if (pattern) selection.pattern = *pattern;
  if (prefix) selection.pattern = PrefixPattern(*prefix);
  return selection;
}

std::string TaskName(const std::string& what, const KeySelection& selection) {
  std::string name = what;
  if (selection.pattern != "*") name += " of " + Quote(selection.pattern);
  if (selection.database) {
    name += fmt::format(" in database {}", *selection.database);
  }
  return name;
}

}  // namespace kvctl
