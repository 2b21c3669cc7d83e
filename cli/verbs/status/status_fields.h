// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "resp/reply_parser.h"

namespace kvctl {

// KV.STATUS's names and values. Each is taken once, and what is left is shown
// as it is: a newer kvd may say more than this kvctl knows.
class StatusFields {
 public:
  // Of an aggregate reply.
  explicit StatusFields(const kvd::Reply& reply);

  // Nothing when the field is missing, or was taken, or is no number.
  std::optional<std::string> Text(std::string_view name);
  std::optional<int64_t> Integer(std::string_view name);

  // A line for each field that was not taken.
  std::string Rest() const;

 private:
  std::optional<kvd::Reply> Take(std::string_view name);

  std::vector<std::pair<std::string, kvd::Reply>> fields_;
};

}  // namespace kvctl
