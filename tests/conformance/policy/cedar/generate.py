# SPDX-License-Identifier: AGPL-3.0-only
"""Random cases for diff.py: a schema, entities that fit it, policies that mostly type, requests.

Everything is drawn from one random.Random, so that a seed names a case. Mistakes are part of it: wrong
types, missing guards, unknown names, tokens that do not belong.
"""
import json
import re

import generate_schema

PLAIN = ["Long", "Bool", "String", "decimal", "ipaddr", "datetime", "duration"]
IF, OR, AND, RELATION, ADD, MUL, UNARY, MEMBER = range(8)
TOKENS = ["permit", "when", "principal", "in", "is", "has", "like", "if", "then", "else", "true", "!", "-",
          "(", ")", "[", "]", "{", "}", ".", ",", ";", "::", ":", "==", "=", "&&", "||", "<", ">=", "+", "*",
          "@", "?principal", "?resource", "1", "9223372036854775808", '"s"', '"\\q"', "x", "__cedar", "action"]
TEXTS = ["", "a", "b*", "*", "\\", '"', "\n", "\t", "\0", "é", "漢字", "\U0001f600", "a b", "x" * 30, "\u202e"]
COMMENTS = ["// note", "//", "//  two  words ", '// "quoted" * text', "// 漢字"]
LITERALS = {
    "decimal": ["0.0", "1.5", "-3.1415", "922337203685477.5807", "1.", "1.00000", "a"],
    "ipaddr": ["127.0.0.1", "10.0.0.0/8", "::1", "fe80::/10", "224.0.0.1", "10.0.0.0/33", "1.2.3", "ff02::1"],
    "datetime": ["2024-01-01", "2024-02-29T12:30:00Z", "1969-12-31T23:59:59.999Z", "2024-13-01",
                 "2024-10-15T11:35:00+0100", "0000-01-01"],
    "duration": ["1d", "-2h30m", "5ms", "1h1d", "0s", "9223372036854775807ms", ""],
}
GOOD = {"decimal": 4, "ipaddr": 5, "datetime": 3, "duration": 3}  # of LITERALS, from the first
CONSTRUCTORS = {"decimal": "decimal", "ipaddr": "ip", "datetime": "datetime", "duration": "duration"}


def quote(text, pattern=False):
    out = ['"']
    for c in text:
        if c in '"\\':
            out.append("\\" + c)
        elif c == "\n":
            out.append("\\n")
        elif c == "\0":
            out.append("\\0")
        elif c == "\u202e":
            out.append("\\u{202e}")
        elif c == "*" and pattern == "escape":
            out.append("\\*")
        else:
            out.append(c)
    return "".join(out) + '"'


class World:
    """A schema and entities under it."""

    def __init__(self, rng):
        self.rng = rng
        self.careless = rng.random() < 0.2
        self.prefix = rng.choice(["", "", "N::", "A::B::"])
        names = rng.sample(["User", "Team", "Doc", "Folder", "Photo", "Org"], rng.randint(2, 4))
        self.entities = {}
        for name in names:
            self.entities[name] = {"parents": [], "attrs": {}, "tags": None, "enum": None}
        if rng.random() < 0.3:
            self.entities["Color"] = {"parents": [], "attrs": {}, "tags": None, "enum": ["red", "green"]}
        for name, e in self.entities.items():
            if e["enum"]:
                continue
            e["parents"] = [n for n in names if rng.random() < 0.35]
            e["attrs"] = self.record(2)
            if rng.random() < 0.35:
                e["tags"] = self.type(1)
        self.actions = {}
        ids = rng.sample(["view", "edit", "delete", "a b", "all", "any"], rng.randint(2, 4))
        for i, name in enumerate(ids):
            groups = [p for p in ids[:i] if rng.random() < 0.35]
            applies = None
            if i == 0 or rng.random() < 0.8:
                applies = {"principals": self.some(), "resources": self.some(), "context": self.record(2)}
            self.actions[name] = {"groups": groups, "applies": applies}

    def some(self):
        names = list(self.entities)
        return self.rng.sample(names, self.rng.randint(1, min(2, len(names))))

    def type(self, depth):
        r = self.rng.random()
        if depth > 0 and r < 0.15:
            return ("Set", self.type(depth - 1))
        if depth > 0 and r < 0.3:
            return ("Record", self.record(depth - 1))
        if r < 0.55:
            return ("Entity", self.rng.choice(list(self.entities)))
        return (self.rng.choice(PLAIN),)

    def record(self, depth):
        names = self.rng.sample(["a", "b", "n", "name", "owner", "if", "x y"], self.rng.randint(0, 4))
        return {n: (self.type(depth), self.rng.random() < 0.6) for n in names}

    def type_text(self, t):
        if t[0] not in ("Set", "Record"):
            name = t[1] if t[0] == "Entity" else t[0]
            return self.prefix + name if t[0] == "Entity" and self.rng.random() < 0.2 else name
        text = f"Set<{self.type_text(t[1])}>" if t[0] == "Set" else self.record_text(t[1])
        if self.rng.random() < 0.2:
            self.common.setdefault(text, f"Common{len(self.common)}")
            return self.common[text]
        return text

    def record_text(self, attrs):
        return "{" + ", ".join(f"{quote(n)}{'' if required else '?'}: {self.type_text(t)}"
                               for n, (t, required) in attrs.items()) + "}"

    def annotation(self):
        return self.rng.choice(['@doc("text") ', "@internal "]) if self.rng.random() < 0.05 else ""

    def schema_text(self):
        out = []
        self.common = {}
        for name, e in self.entities.items():
            if e["enum"]:
                out.append(f"{self.annotation()}entity {name} enum [{', '.join(map(quote, e['enum']))}];")
                continue
            parents = f" in [{', '.join(e['parents'])}]" if e["parents"] else ""
            tags = f" tags {self.type_text(e['tags'])}" if e["tags"] else ""
            out.append(f"{self.annotation()}entity {name}{parents} = {self.record_text(e['attrs'])}{tags};")
        for name, a in self.actions.items():
            groups = f" in [{', '.join(map(quote, a['groups']))}]" if a["groups"] else ""
            applies = a["applies"]
            to = "" if not applies else (
                f" appliesTo {{principal: [{', '.join(applies['principals'])}], resource: "
                f"[{', '.join(applies['resources'])}], context: {self.record_text(applies['context'])}}}")
            out.append(f"{self.annotation()}action {quote(name)}{groups}{to};")
        out += [f"type {name} = {text};" for text, name in self.common.items()]
        self.rng.shuffle(out)
        text = "\n".join(out)
        return f"namespace {self.prefix[:-2]} {{\n{text}\n}}" if self.prefix else text

    def id(self, name):
        e = self.entities.get(name)
        return self.rng.choice(e["enum"] if e and e["enum"] else ["a", "b", "c"])

    def uid(self, name):
        return {"type": self.prefix + name, "id": self.id(name)}

    def value(self, t):
        rng = self.rng
        if self.careless and rng.random() < 0.02:
            return rng.choice([1, "a", True, [], {}])
        if t[0] == "Long":
            return rng.choice([0, 1, -1, 7, 100, 2**63 - 1, -2**63])
        if t[0] == "Bool":
            return rng.random() < 0.5
        if t[0] == "String":
            return rng.choice(TEXTS)
        if t[0] == "Set":
            return [self.value(t[1]) for _ in range(rng.randint(0, 3))]
        if t[0] == "Record":
            return self.values(t[1])
        if t[0] == "Entity":
            uid = self.uid(t[1])
            return uid if rng.random() < 0.5 else {"__entity": uid}
        text = rng.choice(LITERALS[t[0]][:None if self.careless and rng.random() < 0.1 else GOOD[t[0]]])
        if rng.random() < 0.4:
            return text
        call = {"fn": CONSTRUCTORS[t[0]], "arg": text}
        return {"__extn": call} if rng.random() < 0.8 else call

    def values(self, attrs):
        rng = self.rng
        return {n: self.value(t) for n, (t, required) in attrs.items()
                if rng.random() < (0.5 if not required else 0.98 if self.careless else 1)}

    def entity_list(self):
        out, order = [], list(self.entities)
        for i, (name, e) in enumerate(self.entities.items()):
            for id in e["enum"] or ["a", "b", "c"]:
                if self.rng.random() < 0.2:
                    continue
                above = [{"type": self.prefix + p, "id": other} for p in e["parents"] for other in "abc"
                         if (order.index(p), other) > (i, id) and self.rng.random() < 0.4]
                entity = {"uid": {"type": self.prefix + name, "id": id}, "attrs": self.values(e["attrs"]),
                          "parents": above}
                if e["tags"]:
                    entity["tags"] = {k: self.value(e["tags"]) for k in ["k", "é"] if self.rng.random() < 0.5}
                out.append(entity)
        return out

    def request(self):
        rng = self.rng
        action = rng.choice([n for n, a in self.actions.items() if a["applies"]])
        applies = self.actions[action]["applies"]
        principal, resource = rng.choice(applies["principals"]), rng.choice(applies["resources"])
        if rng.random() < 0.04:
            resource = rng.choice(list(self.entities))
        return {"principal": self.uid(principal), "action": {"type": self.prefix + "Action", "id": action},
                "resource": self.uid(resource), "context": self.values(applies["context"])}


class Writer:
    """Policies over a world, as lists of tokens. Expressions are (tokens, precedence)."""

    def __init__(self, world, rng):
        self.w, self.rng = world, rng

    def at(self, e, least):
        tokens, precedence = e
        if precedence < least or self.rng.random() < 0.05:
            return ["("] + tokens + [")"]
        return tokens

    def uid_tokens(self, name):
        parts = (self.w.prefix + name).split("::")
        out = [parts[0]]
        for p in parts[1:]:
            out += ["::", p]
        return out + ["::", quote(self.w.id(name))]

    def name_tokens(self, name):
        parts = (self.w.prefix + name).split("::")
        out = [parts[0]]
        for p in parts[1:]:
            out += ["::", p]
        return out

    def access(self, e, name):
        if name.isidentifier() and name != "if" and self.rng.random() < 0.9:
            return self.at(e, MEMBER) + [".", name], MEMBER
        return self.at(e, MEMBER) + ["[", quote(name), "]"], MEMBER

    def key(self, name):
        return name if name.isidentifier() and name != "if" else quote(name)

    def variables(self):
        yield ["principal"], ("Entity", self.principal)
        yield ["resource"], ("Entity", self.resource)
        yield ["context"], ("Record", self.context)

    def attrs_of(self, t):
        if t[0] == "Record":
            return t[1]
        return self.w.entities[t[1]]["attrs"] if t[0] == "Entity" and t[1] in self.w.entities else {}

    def path(self, wanted):
        """A variable or an attribute somewhere below one, of that type; the guards it needs."""
        found = []
        todo = [((tokens, MEMBER), t, [], 0) for tokens, t in self.variables()]
        while todo:
            e, t, guards, depth = todo.pop()
            if t == wanted:
                found.append((e, guards))
            if depth < 3:
                for name, (below, required) in self.attrs_of(t).items():
                    has = (self.at(e, ADD) + ["has", self.key(name)], RELATION)
                    more = guards + ([] if required else [has])
                    todo.append((self.access(e, name), below, more, depth + 1))
        if not found or self.rng.random() < 0.1:
            return None
        e, guards = self.rng.choice(found)
        self.guards += [g for g in guards if self.rng.random() < 0.93]
        return e

    def expr(self, t, depth):
        rng = self.rng
        if rng.random() < 0.03:
            t = self.w.type(1)
        if t == ("Bool",):
            return self.guarded(depth)
        if depth > 0 and rng.random() < 0.08:
            return self.choice(t, depth)
        if rng.random() < 0.6:
            e = self.path(t)
            if e:
                return e
        return self.made(t, depth)

    def choice(self, t, depth):
        return (["if"] + self.expr(("Bool",), depth - 1)[0] + ["then"] + self.expr(t, depth - 1)[0] +
                ["else"] + self.expr(t, depth - 1)[0], IF)

    def list(self, es):
        out = []
        for e in es:
            out += ([","] if out else []) + e[0]
        return out + ([","] if es and self.rng.random() < 0.05 else [])

    def made(self, t, depth):
        rng = self.rng
        if t[0] == "Long":
            return self.number(depth)
        if t[0] == "String":
            return [quote(rng.choice(TEXTS))], MEMBER
        if t[0] == "Entity":
            if rng.random() < 0.02:
                return ["Nope", "::", '"a"'], MEMBER
            return self.uid_tokens(t[1]), MEMBER
        if t[0] == "Set":
            least = 0 if rng.random() < 0.05 else 1
            items = [self.expr(t[1], depth - 1) for _ in range(rng.randint(least, 3))] if depth > 0 else (
                [self.expr(t[1], 0)])
            return ["["] + self.list(items) + ["]"], MEMBER
        if t[0] == "Record":
            out = []
            for name, (below, _) in t[1].items():
                out += ([","] if out else []) + [self.key(name), ":"] + self.expr(below, depth - 1)[0]
            return ["{"] + out + ["}"], MEMBER
        return self.extension(t, depth)

    def number(self, depth):
        rng = self.rng
        if depth > 0 and rng.random() < 0.5:
            r = rng.random()
            if r < 0.2:
                return ["-"] + self.at(self.expr(("Long",), depth - 1), MEMBER), UNARY
            if r < 0.35:
                name = rng.choice(["toMilliseconds", "toSeconds", "toMinutes", "toHours", "toDays"])
                return self.at(self.expr(("duration",), depth - 1), MEMBER) + [".", name, "(", ")"], MEMBER
            op, level = rng.choice([("+", ADD), ("-", ADD), ("*", MUL)])
            return (self.at(self.expr(("Long",), depth - 1), level) + [op] +
                    self.at(self.expr(("Long",), depth - 1), level + 1), level)
        n = rng.choice([0, 1, 2, 10, 9223372036854775807, -1, -9223372036854775808])
        return (["-", str(-n)], UNARY) if n < 0 else ([rng.choice(["", "0"]) + str(n)], MEMBER)

    def extension(self, t, depth):
        rng = self.rng
        if depth > 0 and rng.random() < 0.3:
            if t == ("datetime",):
                if rng.random() < 0.5:
                    return self.method(t, "toDate", [], depth)
                return self.method(t, "offset", [("duration",)], depth)
            if t == ("duration",):
                if rng.random() < 0.5:
                    return self.method(("datetime",), "toTime", [], depth)
                return self.method(("datetime",), "durationSince", [("datetime",)], depth)
        text = quote(rng.choice(LITERALS[t[0]][:GOOD[t[0]] if rng.random() < 0.97 else None]))
        if rng.random() < 0.02:
            return [CONSTRUCTORS[t[0]], "("] + self.expr(("String",), 0)[0] + [")"], MEMBER
        return [CONSTRUCTORS[t[0]], "(", text, ")"], MEMBER

    def method(self, t, name, args, depth):
        given = [self.expr(a, depth - 1) for a in args]
        if self.rng.random() < 0.01:
            given = given[1:] or [self.expr(("Long",), 0)]
        return (self.at(self.expr(t, depth - 1), MEMBER) + [".", name, "("] + self.list(given) + [")"], MEMBER)

    def guarded(self, depth):
        """A condition; what its attributes need stands in front."""
        before, self.guards = self.guards, []
        e = self.boolean(depth)
        guards, self.guards = self.guards, before
        if not guards:
            return e
        if self.rng.random() < 0.15:
            test = self.join("&&", AND, guards)
            return ["if"] + test[0] + ["then"] + e[0] + ["else"] + [self.rng.choice(["true", "false"])], IF
        return self.join("&&", AND, guards + [e])

    def join(self, op, level, es):
        out = self.at(es[0], level)
        for e in es[1:]:
            out = out + [op] + self.at(e, level + 1)
        return out, level if len(es) > 1 else es[0][1]

    def boolean(self, depth):
        rng = self.rng
        if depth <= 0:
            return [rng.choice(["true", "false"])], MEMBER
        forms = [self.logic, self.logic, self.negation, self.equality, self.order, self.has, self.chain, self.like,
                 self.member, self.type_test, self.set_test, self.extension_test, self.tag, self.decide]
        return rng.choice(forms)(depth)

    def logic(self, depth):
        op, level = self.rng.choice([("&&", AND), ("||", OR)])
        return self.join(op, level, [self.guarded(depth - 1) for _ in range(self.rng.randint(2, 3))])

    def negation(self, depth):
        return ["!"] * self.rng.choice([1, 1, 1, 2]) + self.at(self.guarded(depth - 1), MEMBER), UNARY

    def equality(self, depth):
        t = self.w.type(1)
        return (self.at(self.expr(t, depth - 1), ADD) + [self.rng.choice(["==", "!="])] +
                self.at(self.expr(t, depth - 1), ADD), RELATION)

    def order(self, depth):
        t = (self.rng.choice(["Long", "Long", "datetime", "duration", "decimal"])
             if self.rng.random() < 0.3 else "Long",)
        op = self.rng.choice(["<", "<=", ">", ">="])
        return self.at(self.expr(t, depth - 1), ADD) + [op] + self.at(self.expr(t, depth - 1), ADD), RELATION

    def some_owner(self):
        tokens, t = self.rng.choice(list(self.variables()))
        return (tokens, MEMBER), t

    def has(self, depth):
        e, t = self.some_owner()
        names = list(self.attrs_of(t)) + ["nope"]
        return self.at(e, ADD) + ["has", self.key(self.rng.choice(names))], RELATION

    def chain(self, depth):
        e, t = self.some_owner()
        names = []
        for _ in range(self.rng.randint(1, 4)):
            known = [n for n in self.attrs_of(t) if n.isidentifier() and n != "if"]
            if not known:
                break
            names.append(self.rng.choice(known))
            t = self.attrs_of(t)[names[-1]][0]
        if not names or self.rng.random() < 0.1:
            names.append("n")
        tokens = [names[0]]
        for n in names[1:]:
            tokens += [".", n]
        test = self.at(e, ADD) + ["has"] + tokens, RELATION
        if self.rng.random() < 0.4 and t in [("Long",), ("Bool",), ("String",)]:
            for n in names:
                e = self.access(e, n)
            return self.join("&&", AND, [test, (self.at(e, ADD) + ["=="] + self.at(self.expr(t, 0), ADD), RELATION)])
        return test

    def like(self, depth):
        texts = [t for t in TEXTS if t != "\u202e"]  # the reference does not warn of it here, we do
        pattern = quote(self.rng.choice(texts + ["a*b", "*x*"]), self.rng.choice([False, "escape"]))
        return self.at(self.expr(("String",), depth - 1), ADD) + ["like", pattern], RELATION

    def member(self, depth):
        rng = self.rng
        if rng.random() < 0.2:
            ids = [self.action_tokens() for _ in range(rng.randint(1, 2))]
            right = ids[0] if rng.random() < 0.5 else ["["] + self.list([(i, MEMBER) for i in ids]) + ["]"]
            return ["action", "in"] + right, RELATION
        below, above = ("Entity", rng.choice(list(self.w.entities))), ("Entity", rng.choice(list(self.w.entities)))
        right = above if rng.random() < 0.6 else ("Set", above)
        return self.at(self.expr(below, depth - 1), ADD) + ["in"] + self.at(self.expr(right, depth - 1), ADD), RELATION

    def type_test(self, depth):
        name = self.rng.choice(list(self.w.entities))
        t = ("Entity", self.rng.choice(list(self.w.entities)))
        out = self.at(self.expr(t, depth - 1), ADD) + ["is"] + self.name_tokens(name)
        if self.rng.random() < 0.3:
            out += ["in"] + self.at(self.expr(("Entity", self.rng.choice(list(self.w.entities))), 0), ADD)
        return out, RELATION

    def set_test(self, depth):
        t = self.w.type(1)
        name = self.rng.choice(["contains", "containsAll", "containsAny", "isEmpty"])
        args = {"contains": [t], "isEmpty": []}.get(name, [("Set", t)])
        return self.method(("Set", t), name, args, depth)

    def extension_test(self, depth):
        if self.rng.random() < 0.5:
            name = self.rng.choice(["lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"])
            return self.method(("decimal",), name, [("decimal",)], depth)
        name = self.rng.choice(["isIpv4", "isIpv6", "isLoopback", "isMulticast", "isInRange"])
        return self.method(("ipaddr",), name, [("ipaddr",)] if name == "isInRange" else [], depth)

    def tag(self, depth):
        e, t = self.some_owner()
        key = [quote(self.rng.choice(["k", "é"]))]
        test = self.at(e, MEMBER) + [".", "hasTag", "("] + key + [")"], MEMBER
        tags = self.w.entities[t[1]]["tags"] if t[0] == "Entity" else None
        if not tags or self.rng.random() < 0.2:
            return test
        get = self.at(e, MEMBER) + [".", "getTag", "("] + key + [")"], MEMBER
        equal = self.at(get, ADD) + ["=="] + self.at(self.expr(tags, depth - 1), ADD), RELATION
        return self.join("&&", AND, [test, equal]) if self.rng.random() < 0.9 else equal

    def decide(self, depth):
        return self.choice(("Bool",), depth)

    def action_tokens(self):
        name = self.rng.choice(list(self.w.actions)) if self.rng.random() < 0.98 else "nope"
        return self.name_tokens("Action") + ["::", quote(name)]

    def scope(self, var, name, template):
        rng = self.rng
        r = rng.random()
        out = [var]
        if r < 0.3:
            return out
        if r < 0.6:
            out += ["is"] + self.name_tokens(name)
            if rng.random() < 0.6:
                return out
            out.append("in")
        else:
            out.append(rng.choice(["==", "in"]))
        if template:
            return out + ["?" + var]
        return out + self.uid_tokens(name if rng.random() < 0.7 else rng.choice(list(self.w.entities)))

    def policy(self):
        rng = self.rng
        action = rng.choice([n for n, a in self.w.actions.items() if a["applies"]])
        applies = self.w.actions[action]["applies"]
        self.principal, self.resource = rng.choice(applies["principals"]), rng.choice(applies["resources"])
        self.context, self.guards = applies["context"], []
        template = rng.random() < 0.2
        out = []
        for name in ["id", "note"]:
            if rng.random() < 0.1:
                out += ["@", name] + (["(", quote(rng.choice(TEXTS)), ")"] if rng.random() < 0.8 else [])
        out += [rng.choice(["permit", "permit", "forbid"]), "("] + self.scope("principal", self.principal, template)
        out += [","] + self.action_scope(action) + [","] + self.scope("resource", self.resource, template)
        out += ([","] if rng.random() < 0.03 else []) + [")"]
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            self.guards = []
            out += [rng.choice(["when", "when", "unless"]), "{"] + self.guarded(rng.randint(1, 4))[0] + ["}"]
        return out + [";"]

    def action_scope(self, action):
        rng = self.rng
        r = rng.random()
        one = self.name_tokens("Action") + ["::", quote(action)]
        if r < 0.2:
            return ["action"]
        if r < 0.7:
            return ["action", rng.choice(["==", "in"])] + one
        more = [(self.action_tokens(), MEMBER) for _ in range(rng.randint(0, 2))]
        return ["action", "in", "["] + self.list([(one, MEMBER)] + more) + ["]"]


def layout(rng, tokens):
    """Tokens with blanks between them, and sometimes comments."""
    comments = rng.random() < 0.3
    out = []
    for t in tokens:
        r = rng.random()
        if comments and r < 0.06:
            out.append(rng.choice([" ", "\n"]) + rng.choice(COMMENTS) + rng.choice(["\n", "\n\n", "\r\n"]))
        elif r < 0.1:
            out.append(rng.choice(["\n", "\n\n  ", "\t", "  "]))
        else:
            out.append(" ")
        out.append(t)
    return "".join(out) + rng.choice(["", "\n", " // end", "\n// end\n"])


def damage(rng, tokens):
    tokens = list(tokens)
    for _ in range(rng.randint(1, 2)):
        i = rng.randrange(len(tokens))
        r = rng.random()
        if r < 0.3:
            del tokens[i]
        elif r < 0.5:
            tokens.insert(i, tokens[rng.randrange(len(tokens))])
        elif r < 0.8:
            tokens[i] = rng.choice(TOKENS)
        else:
            tokens.insert(i, rng.choice(TOKENS))
        if not tokens:
            break
    return tokens


def nodes(v):
    """Every (container, key) below v."""
    if isinstance(v, (dict, list)):
        for key in list(v) if isinstance(v, dict) else range(len(v)):
            yield v, key
            yield from nodes(v[key])


def array_for_object(before, after):
    """The reference reads some objects from arrays of their members too, which is nobody's intention."""
    if isinstance(before, dict) and isinstance(after, dict):
        return any(array_for_object(v, after[k]) for k, v in before.items() if k in after)
    if isinstance(before, list) and isinstance(after, list):
        return any(map(array_for_object, before, after))
    return isinstance(before, dict) and isinstance(after, list)


def damage_json(rng, v):
    """A copy with one or two members lost, doubled, renamed or exchanged."""
    while True:
        damaged = damage_once(rng, v)
        if not array_for_object(v, damaged):
            return damaged


def damage_once(rng, v):
    v = json.loads(json.dumps(v))
    for _ in range(rng.randint(1, 2)):
        found = list(nodes(v))
        if not found:
            break
        holder, key = rng.choice(found)
        r = rng.random()
        if r < 0.25:
            del holder[key]
        elif r < 0.5:
            other, name = rng.choice(found)
            holder[key] = json.loads(json.dumps(other[name]))
        elif r < 0.65:
            holder[key] = rng.choice([None, 1, -1.5, "x", "?principal", True, [], {}, 2**63, "__cedar::A"])
        elif isinstance(holder, list):
            holder.insert(key, json.loads(json.dumps(holder[key])))
        else:
            holder[rng.choice(["x", "__entity", "__extn", "type", "left", "arg", "if"])] = holder.pop(key)
    return v


SCHEMA_TOKEN = re.compile(r'"(?:[^"\\\\]|\\\\.)*"|[A-Za-z_][A-Za-z0-9_]*|::|\S')
SCHEMA_WORDS = ["entity", "action", "type", "in", "enum", "tags", "appliesTo", "principal", "namespace", "Long",
                "Set", "Bool", "__cedar", "Action", "?", "<", ">", "{", "}", "[", "]", ",", ";", ":", "=", "@", '"a"']


def damage_schema(rng, text):
    tokens = SCHEMA_TOKEN.findall(text)
    for _ in range(rng.randint(1, 2)):
        i = rng.randrange(len(tokens))
        r = rng.random()
        if r < 0.3:
            del tokens[i]
        elif r < 0.6:
            tokens[i] = rng.choice(tokens)
        elif r < 0.8:
            tokens[i] = rng.choice(SCHEMA_WORDS)
        else:
            tokens.insert(i, rng.choice(SCHEMA_WORDS))
        if not tokens:
            break
    return " ".join(tokens)


def case(rng):
    """The parts of a case; diff.py joins `policies`, and shortens the lists when it finds something."""
    if rng.random() < 0.1:
        return {"policies": [], "entities": [], "requests": [], "schema": generate_schema.text(rng)}
    world = World(rng)
    writer = Writer(world, rng)
    policies = [writer.policy() for _ in range(rng.randint(1, 4))]
    if rng.random() < 0.15:
        i = rng.randrange(len(policies))
        policies[i] = damage(rng, policies[i])
    links = []
    for i, tokens in enumerate(policies):
        slots = [s for s in ("?principal", "?resource") if s in tokens]
        if slots and rng.random() < 0.8:
            values = {s: world.uid(rng.choice(list(world.entities))) for s in slots if rng.random() < 0.98}
            links.append({"templateId": f"policy{i}", "newId": f"link{i}", "values": values})
    out = {"policies": [layout(rng, t) for t in policies], "links": links, "entities": world.entity_list(),
           "requests": [world.request() for _ in range(4)]}
    if rng.random() < 0.8:
        out["schema"] = world.schema_text()
    r = rng.random()
    if r < 0.05 and "schema" in out:
        out["schema"] = damage_schema(rng, out["schema"])
    elif r < 0.12:
        out["entities"] = damage_json(rng, out["entities"])
    elif r < 0.2:
        out["requests"] = damage_json(rng, out["requests"])
    return json.loads(json.dumps(out))
