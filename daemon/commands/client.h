// SPDX-License-Identifier: MIT
//
// What HELLO and AUTH share with CLIENT.
#pragma once

#include <string_view>

#include "daemon/commands/table.h"

namespace kvd {

// Whether the client may call itself so; answers an error if not.
bool SetClientName(Call& call, std::string_view name);

// Who may connect is decided by the kernel's word about the peer, so there is
// one user without a password, as Redis has it by default.
inline bool IsKnownUser(std::string_view user) { return user == "default"; }

}  // namespace kvd
