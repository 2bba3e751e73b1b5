# doc/group.awk: the page of one group of commands, cardmap-GROUP(1): what cardmap(1) says of it, with its own options only.
#   { cardmap help COMMAND; ... } | awk -v group="COMMAND..." -f group.awk - man/cardmap.1.scd
# The first command of the group names the page.  Nothing is written twice: cardmap(1) and the program's help are the source.
BEGIN {
	count = split(group, words, " ")
	for (i = 1; i <= count; i++)
		wanted[words[i]] = 1
	name = words[1]
}

# ---- The program's help: what it is, its options and examples

FNR == 1 { file++ }

file == 1 && index($0, "cardmap " name " - ") == 1 { summary = substr($0, length("cardmap " name " - ") + 1) }
file == 1 && /^[A-Z][a-z ]*:/ { examples_follow = /^Examples:/ ; next }
file == 1 && /^  -.,? *--/ { option = $2; sub(/^--/, "", option); takes[option] = 1 }
file == 1 && examples_follow && /^  / { line = substr($0, 3); gsub(/\\/, "\\\\", line); if (!(line in shown) || line ~ /^ /) examples = examples line "\n"; shown[line] = 1 }
file == 1 { next }

# ---- cardmap(1): an entry is its heading and the indented lines below it

/^# / { part = substr($0, 3); entry = 0 }

/^\*/ && part == "COMMANDS" {
	word = substr($0, 2)
	sub(/\*.*/, "", word)
	if (entry = (word in wanted)) {
		sub(/^\*/, "*cardmap ")
		synopsis = synopsis (synopsis == "" ? "" : "\n\n") $0
	}
}
/^\*/ && part == "OPTIONS" {
	match($0, /\*--[a-z-]+\*/)
	entry = (substr($0, RSTART + 3, RLENGTH - 4) in takes)
}
entry && part == "COMMANDS" { description = description $0 "\n" }
entry && part == "OPTIONS" { options = options $0 "\n" }

END {
	print "cardmap-" name "(1)\n\n# NAME\n\ncardmap-" name " - " summary
	print "\n# SYNOPSIS\n\n" synopsis "\n\n# DESCRIPTION\n\n" description
	print "# OPTIONS\n\n" options
	if (examples != "")
		print "# EXAMPLES\n\n```\n" examples "```\n"
	print "# EXIT STATUS\n\nThose of *cardmap*(1): 0 yes, 1 no, 2 several, 3 refused, 4 could not ask, 64 wrong\nusage, 78 wrong configuration."
	print "\n# SEE ALSO\n\n*cardmap*(1), *cardmap.conf*(5)" (also == "" ? "" : ", *" also "*(7)")
}
