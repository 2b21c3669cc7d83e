// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "cli/declared.h"
#include "cli/verbs/verb.h"

namespace kvctl {

// kvctl's own help: the options of all verbs, and the verbs.
std::string GeneralHelp(const Declarations& globals);

// What a verb takes, with examples.
std::string VerbHelp(const VerbRow& row, const Declarations& declared);

}  // namespace kvctl
