S She share the kitchen with two students .
A 1 2|||R:VERB:SVA|||shares|||REQUIRED|||-NONE-|||0

S The library is open Tuesday to Saturday .
A 4 4|||M:PREP|||from|||REQUIRED|||-NONE-|||0

S I am agree with the old man .
A 1 2|||R:VERB|||-NONE-|||REQUIRED|||-NONE-|||0

S Yesterday I go to the town library .
A 2 3|||R:VERB:TENSE|||went|||REQUIRED|||-NONE-|||0

S You may borrow up to eight book at a time .
A 6 7|||R:NOUN:NUM|||books|||REQUIRED|||-NONE-|||0

S Children under ten must be accompanied with an adult .
A 6 7|||R:PREP|||by|||REQUIRED|||-NONE-|||0

S My new room is a small and bright .
A 4 5|||U:DET|||-NONE-|||REQUIRED|||-NONE-|||0

S From the window I can to see the river .
A 5 6|||R:VERB:FORM|||-NONE-|||REQUIRED|||-NONE-|||0

S The children was rowing to school when the sea was calm .
A 2 3|||R:VERB:SVA|||were|||REQUIRED|||-NONE-|||0

S He pushed her bag under the seat .
A -1 -1|||noop|||-NONE-|||REQUIRED|||-NONE-|||0

S We put the dough in oven and waited .
A 5 5|||M:DET|||the|||REQUIRED|||-NONE-|||0

S Bake it during thirty minutes .
A 2 3|||R:PREP|||for|||REQUIRED|||-NONE-|||0

S They talked about the music and rents in the capital .
A -1 -1|||noop|||-NONE-|||REQUIRED|||-NONE-|||0

S The young woman have gone in the morning .
A 3 4|||R:VERB:SVA|||had|||REQUIRED|||-NONE-|||0

S I closed my eyes and hoped .
A -1 -1|||noop|||-NONE-|||REQUIRED|||-NONE-|||0

S Please do not write in the books .
A -1 -1|||noop|||-NONE-|||REQUIRED|||-NONE-|||0

S My grandmother sended me a parcel in Thursday .
A 2 3|||R:VERB:INFL|||sent|||REQUIRED|||-NONE-|||0
A 6 7|||R:PREP|||on|||REQUIRED|||-NONE-|||0

S The jam did not survived the journey .
A 4 5|||R:VERB:FORM|||survive|||REQUIRED|||-NONE-|||0

S I am living in small town near the river .
A 4 4|||M:DET|||a|||REQUIRED|||-NONE-|||0

S Work are tiring , I like it .
A 1 2|||R:VERB:SVA|||is|||REQUIRED|||-NONE-|||0
A 3 4|||R:OTHER|||but|||REQUIRED|||-NONE-|||0

S The lamp burn oil at first .
A 2 3|||R:VERB:TENSE|||burned|||REQUIRED|||-NONE-|||0

S It stands on the narrow rock .
A 3 4|||R:DET|||a|||REQUIRED|||-NONE-|||0

S A keeper lived there with his family .
A -1 -1|||noop|||-NONE-|||REQUIRED|||-NONE-|||0

S They keeped goats .
A 1 2|||R:VERB:INFL|||kept|||REQUIRED|||-NONE-|||0

S The museum own nothing but keys .
A 2 3|||R:VERB:SVA|||owns|||REQUIRED|||-NONE-|||0

S The smallest belong to a diary .
A 2 3|||R:VERB:SVA|||belongs|||REQUIRED|||-NONE-|||0

S Three times a visitor has recognise a key .
A 5 6|||R:VERB:FORM|||recognised|||REQUIRED|||-NONE-|||0

S People brought she keys they had found in drawers .
A 2 3|||R:PRON|||her|||REQUIRED|||-NONE-|||0

S The train left twenty minute late .
A 4 5|||R:NOUN:NUM|||minutes|||REQUIRED|||-NONE-|||0

S Marta sat down with a violin case on her knees .
A -1 -1|||noop|||-NONE-|||REQUIRED|||-NONE-|||0

S I can smell the warm bread in the kitchen in the morning .
A 9 10|||R:PREP|||on|||REQUIRED|||-NONE-|||0

S In some days I speaks to nobody but the machines .
A 0 1|||R:PREP|||On|||REQUIRED|||-NONE-|||0
A 4 5|||R:VERB:SVA|||speak|||REQUIRED|||-NONE-|||0

S I will come to home in July .
A 3 4|||U:PREP|||-NONE-|||REQUIRED|||-NONE-|||0

S How is your knee ?
A -1 -1|||noop|||-NONE-|||REQUIRED|||-NONE-|||0

S A sun was shining on a flat country .
A 0 1|||R:DET|||The|||REQUIRED|||-NONE-|||0

S When Marta wake up , the sun was shining .
A 2 3|||R:VERB:TENSE|||woke|||REQUIRED|||-NONE-|||0

S The rain began to beating against the window .
A 4 5|||R:VERB:FORM|||beat|||REQUIRED|||-NONE-|||0

S The bee fly back to the hive and dance .
A 2 3|||R:VERB:SVA|||flies|||REQUIRED|||-NONE-|||0
A 8 9|||R:VERB:SVA|||dances|||REQUIRED|||-NONE-|||0

S Other bees follow she closely .
A 3 4|||R:PRON|||her|||REQUIRED|||-NONE-|||0

S Most of them find place without help .
A 4 4|||M:DET|||the|||REQUIRED|||-NONE-|||0

S The dance it is a kind of map .
A 2 3|||U:PRON|||-NONE-|||REQUIRED|||-NONE-|||0

S Mix the flour with a warm water and ten gram of salt .
A 4 5|||R:DET|||the|||REQUIRED|||-NONE-|||0
A 9 10|||R:NOUN:NUM|||grams|||REQUIRED|||-NONE-|||0

S Cover the bowl with a cloth and leave it in the kitchen table .
A 9 10|||R:PREP|||on|||REQUIRED|||-NONE-|||0

S The dough will being soft and stick in the morning .
A 3 4|||R:VERB:FORM|||be|||REQUIRED|||-NONE-|||0
A 6 7|||R:MORPH|||sticky|||REQUIRED|||-NONE-|||0

S Then take the lid of and wait .
A 4 5|||R:SPELL|||off|||REQUIRED|||-NONE-|||0

S Rovers is third in the table now .
A 1 2|||R:VERB:SVA|||are|||REQUIRED|||-NONE-|||0

S Both team hit the post after the corner .
A 1 2|||R:NOUN:NUM|||teams|||REQUIRED|||-NONE-|||0

S There were little to see except rain .
A 1 2|||R:VERB:SVA|||was|||REQUIRED|||-NONE-|||0

S The captain headed ball into the net .
A 3 3|||M:DET|||the|||REQUIRED|||-NONE-|||0

S She say it after the match .
A 1 2|||R:VERB:TENSE|||said|||REQUIRED|||-NONE-|||0

S A library card is free of charge for the residents of the town .
A 8 9|||U:DET|||-NONE-|||REQUIRED|||-NONE-|||0

S Food is not allowed in the reading room .
A -1 -1|||noop|||-NONE-|||REQUIRED|||-NONE-|||0

S Late returns costs twenty cents per day .
A 2 3|||R:VERB:SVA|||cost|||REQUIRED|||-NONE-|||0

S Losted or damaged books must be replace .
A 0 1|||R:VERB:INFL|||Lost|||REQUIRED|||-NONE-|||0
A 6 7|||R:VERB:FORM|||replaced|||REQUIRED|||-NONE-|||0

S The loan period is four week .
A 5 6|||R:NOUN:NUM|||weeks|||REQUIRED|||-NONE-|||0

S Visitors can climb the steps to the gallery .
A -1 -1|||noop|||-NONE-|||REQUIRED|||-NONE-|||0

S Today the old kitchen is small café .
A 5 5|||M:DET|||a|||REQUIRED|||-NONE-|||0

S For almost century a keeper lives there .
A 2 2|||M:DET|||a|||REQUIRED|||-NONE-|||0
A 5 6|||R:VERB:TENSE|||lived|||REQUIRED|||-NONE-|||0

S She had never seen so many key on a wall .
A 6 7|||R:NOUN:NUM|||keys|||REQUIRED|||-NONE-|||0

S I am thinking it would way two kilos .
A 1 6|||Um|||think it would weigh|||REQUIRED|||-NONE-|||0

S The old man snored already in the bunk above her .
A 3 5|||R:WO|||was already snoring|||REQUIRED|||-NONE-|||0

S students cook far more better than I do .
A 0 0|||M:DET|||The|||REQUIRED|||-NONE-|||0
A 3 4|||R:ADJ:FORM|||-NONE-|||REQUIRED|||-NONE-|||0

S Is this place free , asked a young woman in the doorway .
A 4 5|||R:PUNCT|||? "|||REQUIRED|||-NONE-|||0

S Please do not go up the ladder in the cherry tree again .
A 7 8|||R:PREP|||to|||REQUIRED|||-NONE-|||0

