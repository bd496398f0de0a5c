# SPDX-License-Identifier: AGPL-3.0-only
"""Random schema texts that say little and mean much: few names, so that references meet declarations of
other kinds and other namespaces, words of the language as names, declarations twice, hidden ones."""

NAMESPACES = ["A", "B", "A::B", "Set", "type"]
TYPES = ["T", "U", "V", "E", "F", "Long", "String", "Bool", "Set", "ipaddr", "decimal", "datetime", "Action",
         "entity", "Boolean", "Record", "Extension", "__cedar"]
RESERVED = ["if", "true", "in", "is", "has", "like", "then", "else", "false"]
BUILTIN = ["Long", "String", "Bool", "ipaddr", "decimal", "datetime", "duration", "Boolean", "Set"]
ATTRIBUTES = ["a", "b", "name", "in", "a b", "type", "Set", "", "\\u{41}", "__cedar", "if"]
ACTIONS = ["read", "write", "all", "x y", "in"]
ANNOTATIONS = ["doc", "id", "in", "x"]


class Writer:
    def __init__(self, rng):
        self.rng = rng

    def chance(self, p):
        return self.rng.random() < p

    def some(self, make, least, most):
        return ", ".join(make() for _ in range(self.rng.randint(least, most)))

    def declared(self):
        return self.rng.choice(RESERVED if self.chance(0.02) else TYPES)

    def reference(self):
        r = self.rng.random()
        if r < 0.55:
            return self.declared()
        if r < 0.8:
            return self.rng.choice(NAMESPACES) + "::" + self.declared()
        return "__cedar::" + self.rng.choice(BUILTIN) if r < 0.95 else self.rng.choice(NAMESPACES)

    def label(self, names):
        name = self.rng.choice(names)
        bare = name.replace("_", "a").isalnum() and self.chance(0.5)
        return name if bare else f'"{name}"'

    def annotations(self, p):
        out = ""
        while self.chance(p):
            out += "@" + self.rng.choice(ANNOTATIONS) + self.rng.choice(["", '("v")', '("")']) + " "
        return out

    def member(self, depth):
        return (self.annotations(0.1) + self.label(ATTRIBUTES) + self.rng.choice(["", "", "?"]) + ": " +
                self.type(depth - 1))

    def record(self, depth):
        members = self.some(lambda: self.member(depth), 0, 3)
        return "{" + members + ("," if members and self.chance(0.2) else "") + "}"

    def type(self, depth):
        r = self.rng.random()
        if depth <= 0 or r < 0.6:
            return self.reference()
        return f"Set<{self.type(depth - 1)}>" if r < 0.8 else self.record(depth)

    def list(self, make):
        return make() if self.chance(0.5) else "[" + self.some(make, 0, 3) + "]"

    def entity(self):
        out = "entity " + self.some(self.declared, 1, 2)
        if self.chance(0.12):
            return out + " enum [" + self.some(lambda: self.label(["a", "b", ""]), 0, 3) + "];"
        if self.chance(0.4):
            out += " in " + self.list(self.reference)
        if self.chance(0.5):
            out += self.rng.choice([" = ", " "]) + self.record(2)
        return out + (" tags " + self.type(2) if self.chance(0.2) else "") + ";"

    def group(self):
        r = self.rng.random()
        if r < 0.6:
            return self.label(ACTIONS)
        path = "" if r < 0.8 else self.rng.choice(NAMESPACES) + "::"
        return f'{path}{"Action::" if r < 0.95 else ""}"{self.rng.choice(ACTIONS)}"'

    def applies(self):
        parts = ["principal: " + self.list(self.reference), "resource: " + self.list(self.reference)]
        if self.chance(0.5):
            parts.append("context: " + (self.record(2) if self.chance(0.7) else self.reference()))
        if self.chance(0.04):
            parts.append(self.rng.choice(parts))
        if self.chance(0.04):
            parts.pop(0)
        self.rng.shuffle(parts)
        return " appliesTo { " + ", ".join(parts) + self.rng.choice(["", ","]) + " }"

    def action(self):
        out = "action " + self.some(lambda: self.label(ACTIONS), 1, 2)
        if self.chance(0.3):
            out += " in " + self.list(self.group)
        out += self.applies() if self.chance(0.6) else ""
        return out + (" attributes {}" if self.chance(0.05) else "") + ";"

    def declaration(self):
        r = self.rng.random()
        if r < 0.45:
            return self.annotations(0.1) + self.entity()
        if r < 0.65:
            return f"{self.annotations(0.1)}type {self.declared()} = {self.type(2)};"
        return self.annotations(0.1) + self.action()

    def text(self):
        base = [f"entity {n};" if self.chance(0.6) else f"type {n} = Long;"
                for n in self.rng.sample(["T", "U", "V", "E", "F"], self.rng.randint(0, 4))]
        spaces = self.rng.sample(NAMESPACES, self.rng.randint(0, 2))
        out = [self.declaration() for _ in range(self.rng.randint(0, 2))]
        for name in spaces:
            inside = [self.declaration() for _ in range(self.rng.randint(0, 3))]
            inside += base if name == "A" and self.chance(0.6) else []
            out.append(f"{self.annotations(0.05)}namespace {name} {{ {' '.join(inside)} }}")
        if not spaces and self.chance(0.5):
            out += base
        self.rng.shuffle(out)
        return "\n".join(out)


def text(rng):
    return Writer(rng).text()
