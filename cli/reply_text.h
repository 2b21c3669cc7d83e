// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "resp/reply_parser.h"

namespace kvctl {

// A reply for a person, as redis-cli shows it: types are named, elements
// numbered, strings quoted. Ends with a line feed.
std::string DescribeReply(const kvd::Reply& reply);

// A reply for a program, as redis-cli shows it when its output is no terminal:
// values exactly, one below the other. Ends with a line feed.
std::string PlainReply(const kvd::Reply& reply);

}  // namespace kvctl
