// SPDX-License-Identifier: MIT
#include "cli/reply_text.h"

#include <fmt/format.h>

#include <iterator>

#include "cli/text.h"

namespace kvctl {
namespace {

using kvd::Reply;
using kvd::ReplyType;

// What stands between an element's number and the element.
char NumberMark(ReplyType type) {
  return type == ReplyType::kMap ? '#' : type == ReplyType::kSet ? '~' : ')';
}

const char* EmptyText(ReplyType type) {
  return type == ReplyType::kMap   ? "(empty hash)"
         : type == ReplyType::kSet ? "(empty set)"
                                   : "(empty array)";
}

void Describe(const Reply& reply, const std::string& indent, std::string* out);

void DescribeElements(const Reply& reply, const std::string& indent,
                      std::string* out) {
  const bool map = reply.type == ReplyType::kMap;
  const size_t count = reply.elements.size() / (map ? 2 : 1);
  const size_t width = std::to_string(count).size();
  const std::string deeper = indent + std::string(width + 2, ' ');
  for (size_t i = 0; i < count; ++i) {
    // The first one follows its parent's number on the same line.
    if (i > 0) out->append("\n").append(indent);
    fmt::format_to(std::back_inserter(*out), "{:>{}}{} ", i + 1, width,
                   NumberMark(reply.type));
    if (map) {
      Describe(reply.elements[2 * i], deeper, out);
      out->append(" => ");
      Describe(reply.elements[2 * i + 1], deeper, out);
    } else {
      Describe(reply.elements[i], deeper, out);
    }
  }
}

void Describe(const Reply& reply, const std::string& indent, std::string* out) {
  switch (reply.type) {
    case ReplyType::kNull:
      out->append("(nil)");
      return;
    case ReplyType::kStatus:
    case ReplyType::kBigNumber:
      out->append(Escape(reply.text));
      return;
    case ReplyType::kError:
      out->append("(error) ").append(Escape(reply.text));
      return;
    case ReplyType::kString:
      out->append(Quote(reply.text));
      return;
    case ReplyType::kVerbatim:
      out->append(Escape(reply.text, /*keep_lines=*/true));
      return;
    case ReplyType::kInteger:
      out->append("(integer) ").append(std::to_string(reply.integer));
      return;
    case ReplyType::kBoolean:
      out->append(reply.integer != 0 ? "(true)" : "(false)");
      return;
    case ReplyType::kDouble:
      out->append("(double) ").append(reply.text);
      return;
    case ReplyType::kArray:
    case ReplyType::kSet:
    case ReplyType::kPush:
    case ReplyType::kMap:
      break;
  }
  if (reply.elements.empty()) {
    out->append(EmptyText(reply.type));
  } else {
    DescribeElements(reply, indent, out);
  }
}

void AppendPlain(const Reply& reply, std::string* out) {
  switch (reply.type) {
    case ReplyType::kInteger:
      out->append(std::to_string(reply.integer));
      return;
    case ReplyType::kBoolean:
      out->append(reply.integer != 0 ? "true" : "false");
      return;
    case ReplyType::kArray:
    case ReplyType::kSet:
    case ReplyType::kPush:
    case ReplyType::kMap:
      for (size_t i = 0; i < reply.elements.size(); ++i) {
        if (i > 0) out->push_back('\n');
        AppendPlain(reply.elements[i], out);
      }
      return;
    default:
      out->append(reply.text);
  }
}

}  // namespace

std::string DescribeReply(const Reply& reply) {
  std::string out;
  Describe(reply, "", &out);
  out.push_back('\n');
  return out;
}

std::string PlainReply(const Reply& reply) {
  std::string out;
  AppendPlain(reply, &out);
  out.push_back('\n');
  return out;
}

}  // namespace kvctl
