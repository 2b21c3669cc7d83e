// SPDX-License-Identifier: MIT
//
// What a store whose data is not on this machine knows of the place where it
// is: for INFO and KV.STATUS, which do not know what kind of place that is.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace kvd {

struct BackingStatus {
  std::string title;  // Of INFO's section; empty: the data is here.
  // In one line each, with names that begin as the title does.
  std::vector<std::pair<std::string, std::variant<int64_t, std::string>>>
      fields;
  // As in KV.STATUS, with what a person should do; "ok" and no reason.
  std::string state = "ok";
  std::string reason;

  void Add(std::string name, int64_t value) {
    fields.emplace_back(std::move(name), value);
  }
  void Add(std::string name, std::string value) {
    fields.emplace_back(std::move(name), std::move(value));
  }
};

}  // namespace kvd
